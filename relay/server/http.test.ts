import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOfText } from '../protocol/canonical.ts'
import { SECURITY_HEADERS } from './headers.ts'
import type { Relay } from './server.ts'
import { exchangeRaw } from './testing/raw.ts'
import {
  startTestRelay,
  TEST_BASE_DIGEST,
  type TestFolder,
  temporaryFolder,
  testManifest,
} from './testing/round.ts'

const MODEL = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251))

describe('the relay over HTTP', () => {
  let folder: TestFolder
  let relay: Relay
  beforeAll(async () => {
    folder = await temporaryFolder()
    const page = join(folder.path, 'page')
    await mkdir(join(page, 'assets'), { recursive: true })
    await writeFile(join(page, 'index.html'), '<!doctype html><title>oneround</title>')
    await writeFile(join(page, 'assets', 'main-1a2b3c.js'), 'export {}')
    await writeFile(join(page, 'worker.js'), 'self.close()')
    await writeFile(join(page, '.secret'), 'hidden')
    await writeFile(join(folder.path, 'outside.txt'), 'beyond the folder')
    await writeFile(join(folder.path, 'model.bin'), MODEL)
    relay = await startTestRelay(join(folder.path, 'data'), {
      pageDir: page,
      modelFiles: [
        { digest: TEST_BASE_DIGEST, files: new Map([['model.safetensors', join(folder.path, 'model.bin')]]) },
      ],
    })
  })
  afterAll(async () => {
    await relay.close()
    await folder[Symbol.asyncDispose]()
  })

  const get = (path: string, init?: RequestInit) => fetch(new URL(path, relay.url), init)
  const modelPath = `/models/${TEST_BASE_DIGEST}/model.safetensors`
  const codeOf = async (response: Response) =>
    ((await response.json()) as { error: { code: string; message: string } }).error.code

  it('sends the security headers with every answer', async () => {
    const answers = await Promise.all([
      get('/'),
      get('/join/class-7b'),
      get('/assets/main-1a2b3c.js'),
      get('/worker.js'),
      get(modelPath),
      get(modelPath, { headers: { Range: 'bytes=0-1' } }),
      get(modelPath, { headers: { Range: 'bytes=5000-' } }),
      get(modelPath, { headers: { 'If-None-Match': `"${TEST_BASE_DIGEST}-model.safetensors"` } }),
      get('/healthz'),
      get('/api/rooms/class-7b/manifest'),
      get('/api/rooms/none/manifest'),
      get('/nothing'),
      get('/%zz'),
      get('/healthz', { method: 'DELETE' }),
      get('/api/rooms', { method: 'POST' }),
      get('/socket.io/?EIO=4&transport=polling'),
      get('/socket.io/?EIO=4&transport=carrier-pigeon'),
    ])
    expect(answers.map(({ status }) => status)).toEqual([
      200, 200, 200, 200, 200, 206, 416, 304, 200, 200, 404, 404, 400, 405, 401, 400, 400,
    ])
    for (const answer of answers) {
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
        expect(answer.headers.get(name), `${name} of ${answer.url}`).toBe(value)
      }
    }
    const toGarbage = await exchangeRaw(relay.url, 'this is not HTTP\r\n\r\n')
    expect(toGarbage).toMatch(/^HTTP\/1.1 400 /)
    for (const [name, value] of Object.entries(SECURITY_HEADERS))
      expect(toGarbage).toContain(`${name}: ${value}\r\n`)
  })

  it('serves the page: index.html to be asked for each time, hashed assets for ever', async () => {
    const page = await get('/join/class-7b?x=1')
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page.headers.get('cache-control')).toBe('no-cache')
    expect(await page.text()).toContain('oneround')
    const again = await get('/', { headers: { 'If-None-Match': page.headers.get('etag')! } })
    expect(again.status).toBe(304)
    const asset = await get('/assets/main-1a2b3c.js')
    expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(asset.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect((await get('/worker.js')).headers.get('cache-control')).toBe('no-cache')
  })

  it('serves model files whole and by range, immutable', async () => {
    const whole = await get(modelPath)
    expect(whole.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(whole.headers.get('accept-ranges')).toBe('bytes')
    expect(Buffer.from(await whole.arrayBuffer()).equals(MODEL)).toBe(true)
    const part = await get(modelPath, { headers: { Range: 'bytes=100-199' } })
    expect(part.status).toBe(206)
    expect(part.headers.get('content-range')).toBe('bytes 100-199/1000')
    expect(Buffer.from(await part.arrayBuffer()).equals(MODEL.subarray(100, 200))).toBe(true)
    const tail = await get(modelPath, { headers: { Range: 'bytes=-10' } })
    expect(Buffer.from(await tail.arrayBuffer()).equals(MODEL.subarray(990))).toBe(true)
    const beyond = await get(modelPath, { headers: { Range: 'bytes=1000-' } })
    expect(beyond.headers.get('content-range')).toBe('bytes */1000')
    expect(await codeOf(beyond)).toBe('request/range')
    const otherVersion = await get(modelPath, { headers: { Range: 'bytes=1-2', 'If-Range': '"old"' } })
    expect(otherVersion.status).toBe(200)
    const head = await get(modelPath, { method: 'HEAD' })
    expect(head.headers.get('content-length')).toBe('1000')
    expect((await head.arrayBuffer()).byteLength).toBe(0)
  })

  it('lists rooms, their manifest, status and versions', async () => {
    const { rooms } = (await (await get('/api/rooms')).json()) as { rooms: { room: string }[] }
    expect(rooms.map(({ room }) => room)).toContain('class-7b')
    expect(await (await get('/api/rooms/class-7b/manifest')).json()).toEqual(testManifest())
    expect(await (await get('/api/rooms/class-7b/status')).json()).toMatchObject({
      contributions: 0,
      closed: false,
    })
    expect(await (await get('/api/rooms/class-7b/versions')).json()).toEqual({ versions: [] })
    expect((await get('/api/rooms/class-7b/versions/1/adapter_config.json')).status).toBe(404)
  })

  const traversals = [
    '/../outside.txt',
    '/%2e%2e/outside.txt',
    '/..%2foutside.txt',
    '/assets/../../outside.txt',
    '/assets/..%5c..%5coutside.txt',
    '/.secret',
    '/%00',
    '/index.html%00.js',
    '//etc/passwd',
    `/models/${TEST_BASE_DIGEST}/../../outside.txt`,
    `/models/${TEST_BASE_DIGEST}/%2e%2e%2foutside.txt`,
    `/models/__proto__/constructor`,
    '/models/../data/relay.sqlite',
    '/api/rooms/../rooms/class-7b/manifest',
    '/api/rooms/class-7b%00/manifest',
    '/api/rooms/__proto__/manifest',
    '/api/rooms/class-7b/versions/../manifest.json',
    '/api/rooms/class-7b/versions/1%2f..%2f..%2fmanifest.json/version.json',
  ]
  // Over a bare connection: fetch would tidy these paths before it sends them.
  it.each(traversals)('answers %s with an error and nothing else', async (path) => {
    const answer = await exchangeRaw(
      relay.url,
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1.1 40[04] /)
    expect(answer).toContain('"error"')
    expect(answer).not.toContain('beyond the folder')
    expect(answer).not.toContain('hidden')
  })

  it('lets only the host create and close rooms', async () => {
    const manifest = testManifest({ room: 'second' })
    const create = (token: string | null, body: string, type = 'application/json') =>
      get('/api/rooms', {
        method: 'POST',
        headers: { 'Content-Type': type, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) },
        body,
      })
    const body = JSON.stringify(manifest)
    for (const token of [null, '', 'wrong', `${relay.hostToken}x`, relay.hostToken.slice(1)]) {
      const refused = await create(token, body)
      expect([refused.status, await codeOf(refused)]).toEqual([401, 'host/token'])
    }
    const attempts: [string, number, string][] = [
      ['{', 400, 'request/malformed'],
      ['[]', 400, 'manifest/malformed'],
      [JSON.stringify({ ...manifest, room: '../up' }), 400, 'manifest/malformed'],
      [
        JSON.stringify({ ...manifest, base: { ...manifest.base, digest: digestOfText('other') } }),
        400,
        'room/unknown-base',
      ],
      [JSON.stringify(testManifest()), 409, 'room/exists'],
      [JSON.stringify({ ...manifest, title: 'x'.repeat(1024 * 1024) }), 413, 'request/too-large'],
    ]
    for (const [text, status, code] of attempts) {
      const refused = await create(relay.hostToken, text)
      expect([refused.status, await codeOf(refused)]).toEqual([status, code])
    }
    expect((await create(relay.hostToken, body, 'text/plain')).status).toBe(400)
    const created = await create(relay.hostToken, body)
    expect(created.status).toBe(201)
    expect(await created.json()).toMatchObject({ room: 'second', contributions: 0, closed: false })
    expect(relay.rooms()).toEqual(['class-7b', 'second'])

    const close = (token: string) =>
      get('/api/rooms/second/close', { method: 'POST', headers: { Authorization: `Bearer ${token}` } })
    expect((await close('wrong')).status).toBe(401)
    expect(await (await close(relay.hostToken)).json()).toMatchObject({ closed: true })
    expect((await get('/api/rooms/second/close')).status).toBe(405)
  })

  it('says that the page is missing where it has not been built', async () => {
    await using other = await temporaryFolder()
    const bare = await startTestRelay(other.path, { pageDir: join(other.path, 'no-such-folder') })
    const answer = await fetch(bare.url)
    expect([answer.status, await codeOf(answer)]).toEqual([404, 'request/page-missing'])
    await bare.close()
  })
})
