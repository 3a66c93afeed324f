/**
 * A round of relay and two clients as processes, a few steps each: on the embedded model, and on SmolLM2 where its file is.
 * Sums stand in for school mathematics: the rows have its form, and their answers can be learned in a few steps.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SMOLLM2_PATH, withSmolLm2 } from '../../models/testing/smollm2.ts'
import { DEFAULT_RECIPE } from '../../models/training/recipe.ts'
import { type RoundOptions, runRound } from './round.ts'

let folder: string

const sums = (count: number, offset: number) =>
  Array.from({ length: count }, (_, i) => {
    const [a, b] = [(i * 7 + offset) % 10, (i * 3 + offset) % 10]
    return JSON.stringify({ prompt: `What is ${a} plus ${b}?`, completion: `${a} plus ${b} is ${a + b}.` })
  }).join('\n')

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'oneround-round-'))
  await writeFile(path.join(folder, 'train-1000.jsonl'), sums(24, 1))
  await writeFile(path.join(folder, 'test-200.jsonl'), sums(4, 2))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const options = (model: string, steps: number, tokens: number, learningRate: number): RoundOptions => ({
  model,
  data: folder,
  clients: 2,
  rowsPerClient: 12,
  testRows: 4,
  recipe: { ...DEFAULT_RECIPE, steps, batch: 2, tokens, learningRate, evaluateEvery: steps },
  rank: 8,
  alpha: 16,
  seed: 'test',
  backend: 'wasm',
  signal: new AbortController().signal,
  say: () => {},
})

async function expectRound(round: RoundOptions): Promise<void> {
  const { clients, merged, test } = await runRound(round)
  expect(clients.map(({ backend, rows }) => [backend, rows])).toEqual([
    ['wasm', 12],
    ['wasm', 12],
  ])
  for (const { steps, loss, updateBytes, bytesSent } of clients) {
    expect(steps).toBe(round.recipe.steps)
    expect(bytesSent).toBeGreaterThan(updateBytes)
    expect(loss.own).toBeLessThan(loss.base)
    expect(loss.merged).toBeLessThan(loss.base)
  }
  expect(merged).toMatchObject({ contributions: 2, digest: expect.stringMatching(/^[0-9a-f]{64}$/) })
  expect(test.merged).toBeLessThan(test.base)
}

it('the embedded model', () => expectRound(options('tiny', 6, 48, 3e-3)), 300_000)

withSmolLm2('a round on SmolLM2', () => {
  it('two steps a client', () => expectRound(options(SMOLLM2_PATH, 2, 64, 2e-3)), 900_000)
})
