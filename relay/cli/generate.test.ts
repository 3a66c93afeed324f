/** Sampling from the shell: one seed, one text; stop strings and the repetition penalty do what they say. */
import { expect, it } from 'vitest'
import { run, runJson } from './testing/run-cli.ts'

const options = ['--prompt', 'The old house', '--backend', 'wasm', '--max-tokens', '24']
const write = (...more: string[]) => runJson('generate', ...options, ...more)

it('writes the same text under the same seed, another under another, and streams it', async () => {
  const first = await write('--seed', 'a')
  expect((await write('--seed', 'a')).answer).toEqual(first.answer)
  expect((await write('--seed', 'b')).answer.text).not.toBe(first.answer.text)
  expect((await run('generate', ...options, '--seed', 'a')).stdout).toBe(`${first.answer.text}\n`)
}, 60_000)

it('ends before a stop string, and repeats less under a penalty', async () => {
  const greedy = (await write('--greedy')).answer
  const stop = greedy.text.slice(6, 9)
  const stopped = (await write('--greedy', '--stop', 'never', '--stop', stop)).answer
  expect(stopped.text).toBe(greedy.text.slice(0, greedy.text.indexOf(stop)))
  const distinct = (tokens: number[]) => new Set(tokens).size
  const varied = (await write('--greedy', '--repetition', '1.5')).answer
  expect(distinct(varied.tokens)).toBeGreaterThan(distinct(greedy.tokens))
}, 60_000)
