import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { parse } from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAuditLog } from '../protocol/audit.ts'
import { digestOfText } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { hostKeySchema, type Offer, offerSchema } from '../protocol/host.ts'
import { SECURITY_HEADERS } from './headers.ts'
import type { Relay } from './server.ts'
import { SUPPORTED } from './supported.ts'
import { exchangeRaw } from './testing/raw.ts'
import {
  startTestRelay,
  TEST_BASE_DIGEST,
  type TestFolder,
  temporaryFolder,
  testManifest,
} from './testing/round.ts'

const SCRIPT = 'export const greeting = "hello"\n'.repeat(2000)
const MODEL = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251))

/** The answer as it came: fetch would unpack it. */
function rawGet(url: URL, headers: Record<string, string>, method = 'GET') {
  return new Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }>((resolve, reject) => {
    request(url, { headers, method, agent: false }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part) => parts.push(part))
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) }),
      )
    })
      .on('error', reject)
      .end()
  })
}

describe('the relay over HTTP', () => {
  let folder: TestFolder
  let relay: Relay
  beforeAll(async () => {
    folder = await temporaryFolder()
    const page = join(folder.path, 'page')
    await mkdir(join(page, 'assets'), { recursive: true })
    await writeFile(join(page, 'index.html'), '<!doctype html><title>oneround</title>')
    await writeFile(join(page, 'assets', 'main-1a2b3c.js'), 'export {}')
    await writeFile(join(page, 'assets', 'long-4d5e6f.js'), SCRIPT)
    await writeFile(join(page, 'assets', 'photo-7a8b9c.png'), SCRIPT)
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
  const expectSecurityHeaders = (answer: string) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS))
      expect(answer).toContain(`${name}: ${value}\r\n`)
  }
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
    for (const [lines, status] of [
      ['Connection: close\r\n', 400],
      ['Host: x\r\nConnection: close\r\nExpect: a miracle\r\n', 417],
    ] as const) {
      const answer = await exchangeRaw(relay.url, `GET /healthz HTTP/1.1\r\n${lines}\r\n`)
      expect(answer.split(' ', 2)[1]).toBe(String(status))
      expectSecurityHeaders(answer)
    }
    const toGarbage = await exchangeRaw(relay.url, 'this is not HTTP\r\n\r\n')
    expect(toGarbage).toMatch(/^HTTP\/1.1 400 /)
    expectSecurityHeaders(toGarbage)
  })

  const websocket = {
    Host: 'x',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': Buffer.alloc(16).toString('base64'),
  }
  const socketPath = '/socket.io/?EIO=4&transport=websocket'
  const refusedUpgrades: [string, string, string, Record<string, string>, number, string][] = [
    ['a foreign origin', 'GET', socketPath, { Origin: 'https://evil.example' }, 403, 'join/origin'],
    ['an origin that is none', 'GET', socketPath, { Origin: 'null' }, 403, 'join/origin'],
    ['another method', 'POST', socketPath, {}, 405, 'request/method'],
    ['no query', 'GET', '/socket.io/', {}, 400, 'request/malformed'],
    ['polling', 'GET', '/socket.io/?EIO=4&transport=polling', {}, 400, 'request/malformed'],
    ['two transports', 'GET', `${socketPath}&transport=polling`, {}, 400, 'request/malformed'],
    ['an older engine.io', 'GET', '/socket.io/?EIO=3&transport=websocket', {}, 400, 'request/malformed'],
    ['an unknown session', 'GET', `${socketPath}&sid=AAAA`, {}, 400, 'request/malformed'],
    ['another protocol', 'GET', socketPath, { Upgrade: 'h2c' }, 400, 'request/malformed'],
    ['another version', 'GET', socketPath, { 'Sec-WebSocket-Version': '8' }, 400, 'request/malformed'],
    ['a bad key', 'GET', socketPath, { 'Sec-WebSocket-Key': 'short' }, 400, 'request/malformed'],
    ['a body elsewhere', 'POST', '/api/rooms', {}, 400, 'request/malformed'],
  ]
  it.each(refusedUpgrades)('refuses an upgrade with %s, with the security headers', async (...refused) => {
    const [, method, path, changes, status, code] = refused
    const lines = Object.entries({ ...websocket, ...changes }).map(([name, value]) => `${name}: ${value}\r\n`)
    const answer = await exchangeRaw(relay.url, `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
    expect(answer.split(' ', 2)[1]).toBe(String(status))
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toMatchObject({ error: { code } })
    expectSecurityHeaders(answer)
    expect(answer.match(/HTTP\/1.1/g)).toHaveLength(1)
  })

  it('shows a person with a wrong link the page, and answers a program with JSON', async () => {
    const at = new URL('/nothing/here', relay.url)
    const shown = await rawGet(at, { 'sec-fetch-mode': 'navigate' })
    expect(shown.status).toBe(404)
    expect(shown.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
    })
    expect(shown.body.toString()).toContain('<title>oneround</title>')
    expect((await rawGet(at, { accept: 'text/html,*/*' })).body.equals(shown.body)).toBe(true)
    const programs: Record<string, string>[] = [
      {},
      { accept: '*/*' },
      { 'sec-fetch-mode': 'cors', accept: 'text/html' },
    ]
    for (const headers of programs) {
      const answer = await rawGet(at, headers)
      expect(answer.status).toBe(404)
      expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { code: 'request/not-found' } })
    }
    const outside = await rawGet(new URL('/api/nothing', relay.url), { 'sec-fetch-mode': 'navigate' })
    expect(JSON.parse(outside.body.toString())).toMatchObject({ error: { code: 'request/not-found' } })
  })

  it('opens a WebSocket with the security headers, whatever subprotocol is offered', async () => {
    const lines = Object.entries({ ...websocket, 'Sec-WebSocket-Protocol': ',,' })
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const answer = await exchangeRaw(relay.url, `GET ${socketPath} HTTP/1.1\r\n${head}\r\n`, { limitMs: 300 })
    expect(answer).toMatch(/^HTTP\/1.1 101 /)
    expectSecurityHeaders(answer)
  })

  it('answers a GET that offers another protocol as if it had not', async () => {
    const offer = 'Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n'
    for (const [path, body] of [
      ['/healthz', '{"ok":true}'],
      [modelPath, MODEL.toString('latin1')],
    ]) {
      const answer = await exchangeRaw(relay.url, `GET ${path} HTTP/1.1\r\n${offer}\r\n`)
      expect(answer).toMatch(/^HTTP\/1.1 200 /)
      expect(answer.slice(answer.indexOf('\r\n\r\n') + 4)).toBe(body)
      expectSecurityHeaders(answer)
    }
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

  it('compresses the page as the browser asks, and only the page', async () => {
    const ask = (path: string, coding: string, headers: Record<string, string> = {}) =>
      rawGet(new URL(path, relay.url), { 'Accept-Encoding': coding, ...headers })
    const script = '/assets/long-4d5e6f.js'
    const plain = await ask(script, 'identity')
    expect(plain.headers).toMatchObject({ vary: 'Accept-Encoding', 'content-length': String(SCRIPT.length) })
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.body.toString()).toBe(SCRIPT)
    const etags = new Set([plain.headers.etag])
    for (const [accepted, coding, decompress] of [
      ['gzip, deflate', 'gzip', gunzipSync],
      ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
    ] as const) {
      const answer = await ask(script, accepted)
      expect(answer.status).toBe(200)
      expect(answer.headers).toMatchObject({
        'content-encoding': coding,
        vary: 'Accept-Encoding',
        'content-type': 'text/javascript; charset=utf-8',
        'cache-control': 'public, max-age=31536000, immutable',
        'content-length': String(answer.body.byteLength),
        'content-security-policy': SECURITY_HEADERS['Content-Security-Policy'],
      })
      expect(answer.body.byteLength).toBeLessThan(SCRIPT.length / 10)
      expect(decompress(answer.body).toString()).toBe(SCRIPT)
      const { etag } = answer.headers
      etags.add(etag)
      const again = await ask(script, accepted, { 'If-None-Match': etag! })
      expect([again.status, again.headers.etag, again.headers.vary]).toEqual([304, etag, 'Accept-Encoding'])
      expect(again.headers['content-encoding']).toBeUndefined()
      // Another coding's tag names other bytes.
      expect((await ask(script, 'identity', { 'If-None-Match': etag! })).status).toBe(200)
      const head = await rawGet(new URL(script, relay.url), { 'Accept-Encoding': accepted }, 'HEAD')
      expect(head.headers['content-length']).toBe(answer.headers['content-length'])
      expect(head.body.byteLength).toBe(0)
      // A range is one of the file itself, and its tag the file's.
      const part = await ask(script, accepted, { Range: 'bytes=2-5' })
      expect([part.status, part.headers['content-encoding'], part.headers.etag]).toEqual([
        206,
        undefined,
        plain.headers.etag,
      ])
      expect(part.body.toString()).toBe(SCRIPT.slice(2, 6))
      const mixed = await ask(script, accepted, { Range: 'bytes=2-5', 'If-Range': etag! })
      expect([mixed.status, mixed.body.toString()]).toEqual([200, SCRIPT])
    }
    expect(etags.size).toBe(3)
    for (const path of ['/', modelPath, '/healthz', '/assets/photo-7a8b9c.png']) {
      const { status, headers } = await ask(path, 'gzip, br')
      expect([status, headers['content-encoding']], path).toEqual([200, undefined])
    }
    expect((await ask('/assets/none.js', 'br')).headers['content-encoding']).toBeUndefined()
  })

  it('sends what a file holds now, not what was compressed before', async () => {
    const path = join(folder.path, 'page', 'notes.txt')
    const ask = async () =>
      gunzipSync(
        (await rawGet(new URL('/notes.txt', relay.url), { 'Accept-Encoding': 'gzip' })).body,
      ).toString()
    await writeFile(path, 'old '.repeat(1000))
    expect(await ask()).toBe('old '.repeat(1000))
    await writeFile(path, 'new text '.repeat(1000))
    expect(await ask()).toBe('new text '.repeat(1000))
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

  it('shows the page at the console’s addresses, and its offer to the host alone', async () => {
    for (const path of ['/host', '/host/class-7b']) expect((await get(path)).status).toBe(200)
    for (const path of ['/host/class-7b/more', '/hosts']) expect((await get(path)).status).toBe(404)
    expect((await get('/api/host/offer')).status).toBe(401)
    const headers = { Authorization: `Bearer ${relay.hostToken}` }
    // This relay was started without one.
    expect((await get('/api/host/offer', { headers })).status).toBe(404)
    await using other = await temporaryFolder()
    const offer: Offer = { ...SUPPORTED, joinBase: 'http://192.168.1.20:8787', models: [] }
    const offering = await startTestRelay(other.path, { offer: () => offer })
    const ask = () =>
      fetch(`${offering.url}/api/host/offer`, { headers: { Authorization: `Bearer ${offering.hostToken}` } })
    expect(parse(offerSchema, await (await ask()).json())).toEqual(offer)
    await offering.close()
  })

  it('makes start files for the host alone, and only where whoever runs it can', async () => {
    const post = (from: Relay, body: unknown, token = from.hostToken) =>
      fetch(`${from.url}/api/host/starts`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      })
    const asked = { model: TEST_BASE_DIGEST, rank: 4 }
    expect((await post(relay, asked)).status).toBe(404)
    await using other = await temporaryFolder()
    const requests: unknown[] = []
    const making = await startTestRelay(other.path, {
      makeStart: async (request) => {
        requests.push(request)
        throw new ProtocolError('host/start-failed')
      },
    })
    expect((await post(making, asked, 'not-the-token')).status).toBe(401)
    expect((await post(making, { ...asked, rank: 0 })).status).toBe(400)
    expect((await post(making, { rank: 4 })).status).toBe(400)
    expect(requests).toEqual([])
    const failed = await post(making, asked)
    expect(await failed.json()).toMatchObject({ error: { code: 'host/start-failed' } })
    expect(requests).toEqual([asked])
    await making.close()
  })

  it('knows the same host again after a restart on the same data folder, and on no other', async () => {
    await using first = await temporaryFolder()
    await using second = await temporaryFolder()
    const tokenOf = async (path: string) => {
      const started = await startTestRelay(path)
      await started.close()
      return started.hostToken
    }
    const token = await tokenOf(first.path)
    expect(token).toMatch(/^[0-9a-f]{32}$/)
    expect(await tokenOf(first.path)).toBe(token)
    expect(await tokenOf(second.path)).not.toBe(token)
  })

  it('replaces the host’s key: the old one is refused at once and after a restart, and no log holds either', async () => {
    await using folder = await temporaryFolder()
    const started = await startTestRelay(folder.path)
    const [first, asked] = [started.hostToken, (token: string) => ({ Authorization: `Bearer ${token}` })]
    await started.createRoom(testManifest({ room: 'open' }))
    const keyOf = (token: string) =>
      fetch(`${started.url}/api/host/key`, { method: 'POST', headers: asked(token) })
    const overview = (token: string) =>
      fetch(`${started.url}/api/rooms/open/overview`, { headers: asked(token) })
    expect((await keyOf('wrong')).status).toBe(401)
    const { hostToken } = parse(hostKeySchema, await (await keyOf(first)).json())
    expect(hostToken).toMatch(/^[0-9a-f]{32}$/)
    expect([(await overview(first)).status, (await overview(hostToken)).status]).toEqual([401, 200])
    expect((await keyOf(first)).status).toBe(401)
    const log = await (await fetch(`${started.url}/api/rooms/open/audit`)).text()
    expect(readAuditLog(log).map(({ event }) => event.event)).toEqual(['created', 'host-key-replaced'])
    await started.close()
    const onDisk = await readFile(join(folder.path, 'rooms/open/audit.jsonl'), 'utf8')
    expect(onDisk).toBe(log)
    for (const token of [first, hostToken]) expect(onDisk).not.toContain(token)
    const again = await startTestRelay(folder.path)
    expect(again.hostToken).toBe(hostToken)
    await again.close()
  })

  it('says that the page is missing where it has not been built', async () => {
    await using other = await temporaryFolder()
    const bare = await startTestRelay(other.path, { pageDir: join(other.path, 'no-such-folder') })
    const answer = await fetch(bare.url)
    expect([answer.status, await codeOf(answer)]).toEqual([404, 'request/page-missing'])
    await bare.close()
  })
})
