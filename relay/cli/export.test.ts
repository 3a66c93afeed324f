/** `export` in all its formats, on the embedded model: what is written is read back by the other commands. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Adapter } from '../../models/adapters/adapter.ts'
import { furthest } from '../../models/testing/distance.ts'
import { fixtures } from '../../models/testing/fixtures.ts'
import { readAdapterFolder, writeAdapterFolder } from './files.ts'
import { main } from './main.ts'

/** Made loud: what it changes shows in a few words. */
const adapter: Adapter = {
  modules: new Map(
    [...fixtures.adapter('tiny/lora').modules].map(([name, one]) => [
      name,
      { ...one, alpha: 40 * one.alpha },
    ]),
  ),
}
let folder: string
let peft: string

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-export-'))
  peft = path.join(folder, 'adapter')
  await writeAdapterFolder(peft, adapter, 'tiny')
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

const generate = (...argv: string[]) =>
  run('generate', '--prompt', 'It was', '--greedy', '--max-tokens', '12', '--backend', 'wasm', ...argv)

it('to GGUF and back to PEFT, the adapter is the same', async () => {
  const gguf = path.join(folder, 'adapter.gguf')
  const written = await run('export', '--adapter', peft, '--format', 'gguf', '--out', gguf)
  expect(written).toMatchObject({ status: 0, format: 'gguf', modules: adapter.modules.size })
  expect(await run('inspect', gguf)).toMatchObject({ format: 'gguf', bytes: written.bytes })
  const back = path.join(folder, 'back')
  expect(await run('export', '--adapter', gguf, '--format', 'peft', '--out', back)).toMatchObject({
    status: 0,
  })
  const found = await readAdapterFolder(back)
  expect([...found.modules.keys()]).toEqual([...adapter.modules.keys()])
  for (const [name, { a, b, alpha }] of adapter.modules) {
    const own = found.modules.get(name)!
    expect([furthest(own.a, a), furthest(own.b, b), own.alpha]).toEqual([0, 0, alpha])
  }
  expect((await generate('--adapter', gguf)).tokens).toEqual((await generate('--adapter', peft)).tokens)
})

it('merged, the model alone writes what the base wrote with the adapter', async () => {
  const out = path.join(folder, 'merged')
  const written = await run('export', '--adapter', peft, '--format', 'merged', '--type', 'f32', '--out', out)
  expect(written).toMatchObject({ status: 0, type: 'f32' })
  expect(readdirSync(out).sort()).toEqual(
    ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].sort(),
  )
  const [merged, together, alone] = [
    await generate('--model', out),
    await generate('--adapter', peft),
    await generate(),
  ]
  expect(merged.tokens).toEqual(together.tokens)
  expect(merged.tokens).not.toEqual(alone.tokens)
})

it('leaves nothing half-written', async () => {
  const out = path.join(folder, 'none.gguf')
  const other = path.join(folder, 'other')
  await writeAdapterFolder(other, fixtures.adapter('nano/lora'), 'nano')
  expect(await run('export', '--adapter', other, '--format', 'gguf', '--out', out)).toMatchObject({
    status: 1,
    error: { code: 'adapter/wrong-shape' },
  })
  expect(readdirSync(folder).filter((name) => name.startsWith('none'))).toEqual([])
})
