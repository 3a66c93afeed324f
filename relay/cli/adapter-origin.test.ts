/** Adapters of another base are refused by name, before anything is made with them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterOrigin } from '../../models/formats/peft.ts'
import { fixtures } from '../../models/testing/fixtures.ts'
import { describeModel, findBaseModel } from './base-model.ts'
import { readOrigin, writeAdapterFolder } from './files.ts'
import { main } from './main.ts'

const adapter = fixtures.adapter('tiny/lora')
const OTHER = 'ab'.repeat(32)
let folder: string
let own: string

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-origin-'))
  own = (await describeModel(await findBaseModel('tiny'))).digest
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function run(...argv: string[]) {
  let stdout = ''
  const write = (text: string) => {
    stdout += text
  }
  const status = await main([...argv, '--json'], new AbortController().signal, { write }, { write: () => {} })
  return { status, ...JSON.parse(stdout) }
}

async function written(name: string, origin: AdapterOrigin): Promise<string> {
  const place = path.join(folder, name)
  await writeAdapterFolder(place, adapter, 'tiny', origin)
  expect(await readOrigin(place)).toEqual({ base: undefined, vocabulary: undefined, ...origin })
  return place
}

const generate = (place: string, ...more: string[]) =>
  run(
    'generate',
    '--prompt',
    'It',
    '--max-tokens',
    '1',
    '--greedy',
    '--backend',
    'wasm',
    '--adapter',
    place,
    ...more,
  )

describe('an adapter', () => {
  it('of this base is taken, and one that does not say', async () => {
    expect(await generate(await written('own', { base: own }))).toMatchObject({ status: 0 })
    expect(await generate(await written('silent', {}))).toMatchObject({ status: 0 })
  })

  it('of another base is refused, unless the person knows better', async () => {
    const place = await written('other', { base: OTHER })
    expect(await generate(place)).toMatchObject({
      status: 1,
      error: { code: 'adapter/other-base', message: expect.stringMatching(/abab.*--model.*--other-base/) },
    })
    const out = path.join(folder, 'x.gguf')
    expect(await run('export', '--adapter', place, '--format', 'gguf', '--out', out)).toMatchObject({
      error: { code: 'adapter/other-base' },
    })
    expect(await generate(place, '--other-base')).toMatchObject({ status: 0 })
  })

  it('of another vocabulary is refused whatever the person knows', async () => {
    const place = await written('words', { base: OTHER, vocabulary: OTHER })
    expect(await generate(place, '--other-base')).toMatchObject({
      status: 1,
      error: {
        code: 'adapter/other-vocabulary',
        message: expect.stringMatching(/another vocabulary.*--model/),
      },
    })
  })

  it('is merged with others of its base only, and the merged one says which', async () => {
    const [one, silent, other] = [
      await written('one', { base: own, vocabulary: OTHER }),
      await written('silent', {}),
      await written('other', { base: OTHER }),
    ]
    const out = path.join(folder, 'merged')
    expect(await run('merge', '--out', out, silent, one)).toMatchObject({ status: 0 })
    expect(await readOrigin(out)).toEqual({ base: own, vocabulary: OTHER })
    expect(await run('merge', '--out', out, one, silent, other)).toMatchObject({
      error: {
        code: 'adapter/other-base',
        message: expect.stringMatching(/other was trained on another base/),
      },
    })
  })
})
