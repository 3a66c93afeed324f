import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { modelFiles } from '../testing/fixtures.ts'
import { lookAhead } from './look-ahead.ts'
import { readModelOutline } from './model-files.ts'

/** The embedded model, its weights' file with a tensor more that makes it large: what follows the header is never read. */
const tiny = modelFiles('tiny')
const weights = withLargeTensor(tiny.get('model.safetensors')!, 100_000_000)
const LENGTH = weights.header.length + weights.dataBytes

function withLargeTensor(file: Uint8Array, bytes: number) {
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)))
  const end = file.length - 8 - headerBytes
  header['model.unused'] = { dtype: 'F16', shape: [bytes / 2], data_offsets: [end, end + bytes] }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const written = new Uint8Array(8 + text.length)
  new DataView(written.buffer).setBigUint64(0, BigInt(text.length), true)
  written.set(text, 8)
  return { header: written, dataBytes: end + bytes }
}

let server: Server
let asked: { path: string; range: string | undefined }[] = []
let claims = LENGTH
const urlOf = ({ name }: { name: string }) =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`
const files = [...tiny].map(([name, bytes]) => ({
  name,
  bytes: name === 'model.safetensors' ? LENGTH : bytes.length,
}))

beforeAll(async () => {
  server = createServer((request, response) => {
    const name = request.url!.slice(1)
    const { range } = request.headers
    asked.push({ path: name, range })
    const isLarge = name === 'model.safetensors'
    const bytes = isLarge ? weights.header : tiny.get(name)!
    const length = isLarge ? claims : bytes.length
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '')!.map(Number)
    const last = Math.min(to, length - 1)
    response.writeHead(206, { 'Content-Range': `bytes ${from}-${last}/${length}` })
    const answer = new Uint8Array(last + 1 - from)
    answer.set(bytes.subarray(from, last + 1))
    response.end(answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => server.close())

describe('a model that is not here yet', () => {
  it('is looked into by its headers alone', async () => {
    asked = []
    const ahead = lookAhead(files, urlOf)!
    const { spec, tensors } = await readModelOutline(ahead)
    expect(spec.family).toBe('llama')
    expect(tensors.size).toBeGreaterThan(30)
    expect(asked.map(({ path }) => path).sort()).toEqual(['config.json', 'model.safetensors'])
    for (const { range } of asked) expect(range).toMatch(/^bytes=0-\d{1,5}$/)
  })

  it('is asked for nothing that is here', async () => {
    asked = []
    const kept = new Map([['config.json', tiny.get('config.json')!]])
    await readModelOutline(lookAhead(files, urlOf, { kept })!)
    expect(asked.map(({ path }) => path)).toEqual(['model.safetensors'])
  })

  it('is refused where it has another length than announced', async () => {
    claims = LENGTH + 1
    await expect(readModelOutline(lookAhead(files, urlOf)!)).rejects.toMatchObject({ code: 'file/changed' })
    claims = LENGTH
  })

  it('is downloaded at once where that is as quick', () => {
    const sizes = [...tiny].map(([name, bytes]) => ({ name, bytes: bytes.length }))
    expect(lookAhead(sizes, urlOf)).toBeNull()
    const kept = new Map([['model.safetensors', new Uint8Array(0)]])
    expect(lookAhead(files, urlOf, { kept })).toBeNull()
  })
})
