/**
 * Whatever bytes arrive, the relay stays up, answers with a code of its list or hangs up, never with its own failure,
 * and an honest participant beside it notices nothing. The relay is a process of its own, so that a crash is a crash.
 * Five ways in: HTTP, WebSocket frames, socket.io packets, messages of the protocol, and files sent as updates. For
 * the files there is an oracle: the relay must answer what inspectUpdate says of the same bytes.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { io, type Socket } from 'socket.io-client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { initialAdapter } from '../../models/adapters/initial.ts'
import { decodeUpdate } from '../../models/adapters/update-codec.ts'
import { mergeUpdates } from '../aggregation/index.ts'
import { RelayClient } from '../client/client.ts'
import { type Digest, digestOf, digestOfText } from '../protocol/canonical.ts'
import { isErrorCode } from '../protocol/errors.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import type { RoomStatus, Version } from '../protocol/messages.ts'
import { SECURITY_HEADERS } from './headers.ts'
import { adapterShape, inspectUpdate } from './jobs.ts'
import { damages } from './testing/damaged-updates.ts'
import { httpRequests, socketIoPackets, webSocketFrames } from './testing/garbage.ts'
import { exchangeRaw, openWebSocket } from './testing/raw.ts'
import { type TestFolder, temporaryFolder, testManifest, testUpdate } from './testing/round.ts'
import { testSeed } from './testing/seed.ts'
import { type RelayProcess, spawnRelay } from './testing/spawn-relay.ts'

type Message = [event: string, payload: unknown]
const isMessage = (part: Message | Message[]): part is Message => typeof part[0] === 'string'

/** Larger than an honest update, so that files which grew are judged too and not only turned away. */
const manifest = testManifest({}, { updateBytes: 4096, chunkBytes: 1024 })

interface Answer {
  ok: boolean
  code?: string
  receipt?: { digest: Digest } | null
}

describe('a relay under garbage', () => {
  const seed = testSeed('fuzz')
  let folder: TestFolder
  let relay: RelayProcess
  /** By digest: every update that got a receipt. */
  const accepted = new Map<Digest, Uint8Array>()
  let honest = 0
  let isClosed = false
  const codes = new Map<string, number>()

  beforeAll(async () => {
    folder = await temporaryFolder()
    const pageDir = join(folder.path, 'page')
    await mkdir(join(pageDir, 'assets'), { recursive: true })
    await writeFile(join(pageDir, 'index.html'), '<!doctype html>')
    await writeFile(join(pageDir, 'assets', 'main-1a2b3c.js'), 'export {}\n'.repeat(500))
    relay = await spawnRelay(join(folder.path, 'data'), { pageDir, rooms: [manifest] })
  })
  afterEach(async () => {
    // Still the same process, nothing logged as an error, and an honest participant is served.
    expect(relay.errors()).toBe('')
    expect([relay.process.exitCode, relay.process.signalCode]).toEqual([null, null])
    expect(await (await fetch(`${relay.url}/healthz`)).json()).toEqual({ ok: true })
    if (isClosed) return
    const client = new RelayClient({ giveUpAfterMs: 10_000 })
    await client.join(relay.url, manifest.room)
    const update = testUpdate(manifest, `honest ${honest++}`)
    const receipt = await client.upload(update)
    expect(receipt.digest).toBe(digestOf(update))
    accepted.set(receipt.digest as Digest, update)
    client.close()
  })
  afterAll(async () => {
    process.stdout.write(`fuzz: answers ${JSON.stringify(Object.fromEntries([...codes].sort()))}\n`)
    await relay.kill()
    await folder[Symbol.asyncDispose]()
  })

  const connect = async (): Promise<Socket> => {
    const socket = io(relay.url, { transports: ['websocket'], forceNew: true, reconnection: false })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('connect_error', reject)
    })
    return socket
  }
  const ask = async (socket: Socket, event: string, ...payload: unknown[]): Promise<Answer> => {
    const answer: Answer = await socket.timeout(20_000).emitWithAck(event, ...payload)
    count(answer)
    return answer
  }
  /** Every answer is a success or a code that blames the sender. */
  const count = ({ ok, code = '' }: Answer) => {
    codes.set(ok ? 'ok' : code, (codes.get(ok ? 'ok' : code) ?? 0) + 1)
    if (!ok) expect(isErrorCode(code) && !/^(relay|store)\//.test(code), code).toBe(true)
  }
  const fuzz = <Ts extends [unknown, ...unknown[]]>(runs: number, property: fc.IAsyncProperty<Ts>) =>
    fc.assert(property, { seed, numRuns: runs })

  it('over HTTP', async () => {
    const paths = [
      '/',
      '/join/class-7b',
      '/assets/main-1a2b3c.js',
      '/healthz',
      '/api/rooms',
      '/api/rooms/class-7b/versions/1/adapter_config.json',
      '/api/rooms/class-7b/close',
      `/models/${manifest.base.digest}/model.safetensors`,
      '/socket.io/?EIO=4&transport=websocket',
    ]
    let answered = 0
    await fuzz(
      3000,
      fc.asyncProperty(httpRequests(paths), async (bytes) => {
        const answer = await exchangeRaw(relay.url, bytes, { isLast: true })
        if (answer === '') return
        answered++
        const head = answer.replace(/^HTTP\/1.1 100 Continue\r\n\r\n/, '').split('\r\n\r\n', 1)[0]!
        expect(head).toMatch(/^HTTP\/1.1 (101|200|206|304|4\d\d) /)
        for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
          expect(head.toLowerCase()).toContain(`${name}: ${value}`.toLowerCase())
        }
      }),
    )
    expect(answered).toBeGreaterThan(2000)
  })

  it('over WebSocket frames', async () => {
    await fuzz(
      500,
      fc.asyncProperty(fc.array(webSocketFrames(), { minLength: 1, maxLength: 6 }), async (frames) => {
        const { socket, status, endedByRelay } = await openWebSocket(relay.url)
        expect(status).toBe('HTTP/1.1 101 Switching Protocols')
        for (const bytes of frames) socket.write(bytes)
        await endedByRelay(30)
      }),
    )
  })

  it('over socket.io packets', async () => {
    await fuzz(
      1200,
      fc.asyncProperty(
        fc.boolean(),
        fc.array(socketIoPackets(), { minLength: 1, maxLength: 5 }),
        async (joins, messages) => {
          const socket = await connect()
          if (joins)
            expect((await ask(socket, 'join', { protocolVersion: 1, room: manifest.room })).ok).toBe(true)
          const received: string[] = []
          const { engine } = socket.io
          engine.on('data', (data: unknown) => void received.push(String(data)))
          const ended = new Promise<null>((resolve) => socket.once('disconnect', () => resolve(null)))
          for (const bytes of messages) engine.write(bytes)
          // Answers come in order, so that after this one all are there, unless the relay has hung up.
          const last = await Promise.race([
            ended,
            socket
              .timeout(20_000)
              .emitWithAck('last')
              .catch((error: unknown) => {
                if (socket.connected) throw error
                return null
              }),
          ])
          if (last !== null) count(last)
          for (const data of received) {
            const [, code] = /"code":"([^"]*)"/.exec(data) ?? []
            if (code !== undefined) count({ ok: false, code })
          }
          socket.disconnect()
        },
      ),
    )
    expect(({} as { a?: unknown }).a).toBeUndefined()
  })

  it('over messages of the protocol, in any order and with any field wrong', async () => {
    const wrong = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.uint8Array({ maxLength: 1500 }),
      fc.constantFrom(-0, 1e308, 2 ** 53, -1, 0.5, '', '0'.repeat(64), '__proto__', '../x', 'class-7b\u0000'),
    )
    const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
      fc.oneof({ weight: 20, arbitrary: fc.constant(null) }, { weight: 1, arbitrary })
    const field = <T>(right: T) =>
      fc.oneof({ weight: 15, arbitrary: fc.constant<unknown>(right) }, { weight: 1, arbitrary: wrong })
    const payloadOf = (fields: Record<string, unknown>) =>
      fc
        .tuple(
          fc.record(Object.fromEntries(Object.entries(fields).map(([name, right]) => [name, field(right)]))),
          rarely(fc.tuple(fc.constantFrom('extra', '__proto__', 'toJSON', 'ok'), wrong)),
          rarely(fc.constantFrom(...Object.keys(fields))),
        )
        .map(([payload, extra, missing]) => {
          if (extra) Object.defineProperty(payload, extra[0], { value: extra[1], enumerable: true })
          if (missing !== null) delete payload[missing]
          return payload as unknown
        })
    const messagesAbout = (update: Uint8Array) => {
      const digest = digestOf(update)
      const participant = digestOfText('p').slice(0, 32)
      const chunks = [0, 1024].map((offset) => ({ offset, data: update.slice(offset, offset + 1024) }))
      const begin = fc.tuple(fc.constant('begin'), payloadOf({ digest, bytes: update.byteLength }))
      const chunk = ({ offset, data }: { offset: number; data: Uint8Array }) =>
        fc.tuple(fc.constant('chunk'), payloadOf({ offset, data }))
      const commit = fc.tuple(fc.constant('commit'), payloadOf({ digest }))
      const any = fc.oneof(
        fc.tuple(fc.constant('join'), payloadOf({ protocolVersion: 1, room: manifest.room })),
        fc.tuple(
          fc.constant('join'),
          payloadOf({ protocolVersion: 1, room: manifest.room, resume: { participant, token: digest } }),
        ),
        begin,
        fc.tuple(fc.constant('begin'), payloadOf({ digest, bytes: update.byteLength, examples: 5 })),
        ...chunks.map(chunk),
        commit,
        fc.tuple(fc.constantFrom('join', 'begin', 'chunk', 'commit', 'constructor', 'x'.repeat(1000)), wrong),
      )
      const some = (maxLength: number) => fc.array(any, { maxLength, size: 'max' })
      return fc.oneof(
        some(14),
        // The right order, with something in between, gets further.
        fc
          .tuple(begin, some(1), ...chunks.map(chunk), some(1), commit, some(2))
          .map((parts) => parts.flatMap((part) => (isMessage(part) ? [part] : part))),
      )
    }
    const conversation = fc
      .nat(200)
      .map((variant) => testUpdate(manifest, `fuzzed ${variant}`))
      .chain((update) => fc.record({ update: fc.constant(update), sequence: messagesAbout(update) }))
    await fuzz(
      800,
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        conversation,
        async (joins, waits, { update, sequence }) => {
          const digest = digestOf(update)
          const socket = await connect()
          if (joins) await ask(socket, 'join', { protocolVersion: 1, room: manifest.room })
          const answers: Promise<Answer>[] = []
          for (const [event, payload] of sequence) {
            const answer = ask(socket, event, payload)
            answers.push(answer)
            if (waits) await answer
          }
          for (const { receipt } of await Promise.all(answers)) {
            if (!receipt) continue
            expect(receipt.digest).toBe(digest)
            accepted.set(digest, update)
          }
          socket.disconnect()
        },
      ),
    )
    // Garbage that is turned away at the door would prove little.
    for (const code of ['upload/not-begun', 'upload/offset', 'upload/incomplete', 'protocol/busy']) {
      expect([...codes.keys()]).toContain(code)
    }
  })

  it('over files that are almost updates', async () => {
    let judged = 0
    await fuzz(
      1400,
      fc.asyncProperty(fc.nat(3), damages, async (base, damage) => {
        const file = damage(Buffer.from(testUpdate(manifest, `base ${base}`)))
        const bytes = new Uint8Array(file)
        const expected = verdict(bytes)
        const socket = await connect()
        await ask(socket, 'join', { protocolVersion: 1, room: manifest.room })
        const answer = await sendAll(socket, bytes)
        socket.disconnect()
        expect(answer.ok ? 'ok' : answer.code).toBe(expected)
        if (answer.ok) accepted.set(digestOf(bytes), bytes)
        if (expected === 'ok' || expected.startsWith('update/')) judged++
      }),
    )
    expect(judged).toBeGreaterThan(1000)
  })

  /** What the relay must answer to this file. */
  function verdict(bytes: Uint8Array): string {
    if (bytes.byteLength === 0) return 'protocol/malformed'
    if (bytes.byteLength > manifest.limits.updateBytes) return 'upload/too-large'
    try {
      inspectUpdate(manifest, digestOf(bytes), bytes)
      return 'ok'
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  async function sendAll(socket: Socket, update: Uint8Array): Promise<Answer> {
    const digest = digestOf(update)
    const begun = await ask(socket, 'begin', { digest, bytes: update.byteLength })
    if (!begun.ok || begun.receipt) return begun
    const { chunkBytes } = manifest.limits
    for (let offset = 0; offset < update.byteLength; offset += chunkBytes) {
      const answer = await ask(socket, 'chunk', { offset, data: update.slice(offset, offset + chunkBytes) })
      if (!answer.ok) return answer
    }
    return ask(socket, 'commit', { digest })
  }

  it('and in the end holds exactly what it gave receipts for', async () => {
    const closed = await fetch(`${relay.url}/api/rooms/${manifest.room}/close`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${relay.hostToken}` },
    })
    isClosed = true
    expect((await closed.json()) as RoomStatus).toMatchObject({
      contributions: accepted.size,
      waiting: 0,
      connected: 0,
    })
    const answer = await fetch(`${relay.url}/api/rooms/${manifest.room}/versions`)
    const { versions } = (await answer.json()) as { versions: Version[] }
    const shape = adapterShape(manifest)
    const ofManifest = manifestDigest(manifest)
    const merged = mergeUpdates({
      strategy: manifest.strategy,
      initial: initialAdapter(shape, manifest.adapter.seed),
      manifestDigest: ofManifest,
      updates: [...accepted].map(([digest, bytes]) => ({
        digest,
        ...decodeUpdate(bytes, { shape, manifestDigest: ofManifest }),
      })),
    })
    expect(versions.at(-1)).toMatchObject({ contributions: accepted.size, digest: merged.digest })
  })
})
