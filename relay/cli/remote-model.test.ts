/** Models behind an address: downloaded once, kept by digest, damaged files replaced. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { sha256Hex } from '../../models/sha256.ts'
import { fixtureBytes } from '../../models/testing/fixtures.ts'
import { describeModel, findBaseModel, readSpec } from './base-model.ts'
import { main } from './main.ts'

const gguf = fixtureBytes('gguf/nano.gguf')
const served: Record<string, Uint8Array> = {
  '/nano.gguf': gguf,
  '/org/nano/resolve/main/config.json': fixtureBytes('nano/config.json'),
  '/org/nano/resolve/main/tokenizer.json': fixtureBytes('nano/tokenizer.json'),
  '/org/nano/resolve/main/model.safetensors': fixtureBytes('nano/model.safetensors'),
}

let folder: string
let url: string
let bodies = 0
const server = createServer((request, response) => {
  const file = served[request.url ?? '']
  if (!file) {
    response.writeHead(404).end()
    return
  }
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')!
  const first = Number(from)
  const last = to === '' ? file.length - 1 : Math.min(Number(to), file.length - 1)
  if (to === '') bodies++
  response.writeHead(206, { 'Content-Range': `bytes ${first}-${last}/${file.length}`, ETag: '"1"' })
  response.end(file.subarray(first, last + 1))
})

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-models-'))
  vi.stubEnv('ONEROUND_MODELS', folder)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(() => {
  vi.unstubAllEnvs()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

describe('a GGUF file', () => {
  it('is downloaded once and kept by its digest', async () => {
    const model = await findBaseModel(`${url}/nano.gguf`)
    expect(model).toMatchObject({ id: 'nano' })
    expect([...model.files]).toEqual([['model.gguf', path.join(folder, sha256Hex(gguf))]])
    expect(await readSpec(model)).toMatchObject({ family: 'llama', tokens: { most: expect.any(Number) } })
    const before = bodies
    await findBaseModel(`${url}/nano.gguf`)
    await findBaseModel(`${url}/gone.gguf#sha256=${sha256Hex(gguf)}`)
    expect(bodies).toBe(before)
    expect((await describeModel(model)).files).toEqual([
      { name: 'model.gguf', bytes: gguf.length, sha256: sha256Hex(gguf) },
    ])
  })

  it('that was damaged on the disk is downloaded again', async () => {
    const file = path.join(folder, sha256Hex(gguf))
    writeFileSync(file, gguf.slice(1))
    await findBaseModel(`${url}/nano.gguf`)
    expect(sha256Hex(new Uint8Array(readFileSync(file)))).toBe(sha256Hex(gguf))
    for (const note of readdirSync(folder).filter((name) => name.endsWith('.url.json'))) {
      writeFileSync(path.join(folder, note), '{')
    }
    await findBaseModel(`${url}/nano.gguf`)
    expect(readdirSync(folder).filter((name) => name.startsWith('download-'))).toEqual([])
  })
})

describe('a folder', () => {
  it("is named as on Hugging Face, and its files are the model's", async () => {
    const model = await findBaseModel(`${url}/org/nano/resolve/main/`)
    expect(model.id).toBe('nano')
    expect([...model.files.keys()]).toEqual(['config.json', 'tokenizer.json', 'model.safetensors'])
    expect((await readSpec(model)).modules).toHaveLength(14)
  })
})

it.each([
  ['/none.gguf', 'download/missing'],
  ['/nano.bin', 'model/unsupported'],
  ['/nano.gguf#sha256=12', 'model/unsupported'],
  [`/nano.gguf#sha256=${'0'.repeat(64)}`, 'download/wrong-digest'],
])('%s is refused', async (address, code) => {
  await expect(findBaseModel(url + address)).rejects.toMatchObject({ code })
})

it('a model of the catalog that is not here says where it comes from', async () => {
  await expect(findBaseModel('smollm2-135m-instruct')).rejects.toMatchObject({
    code: 'model/not-here',
    message: expect.stringMatching(/98\.4 MB, sha256 b179c9.*--model/),
  })
})

it('inspect fetches the first part alone', async () => {
  let stdout = ''
  const write = (text: string) => {
    stdout += text
  }
  const before = bodies
  const argv = ['inspect', `${url}/nano.gguf`, '--json']
  expect(await main(argv, new AbortController().signal, { write }, { write: () => {} })).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ format: 'gguf', bytes: gguf.length })
  expect(bodies).toBe(before)
})
