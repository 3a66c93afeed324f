/**
 * What a broken or hostile client can send: every case is answered with a code (or a closed connection where there is
 * nobody to answer), and afterwards the relay takes an honest update as if nothing had been.
 */
import { randomBytes } from 'node:crypto'
import { io, type Socket } from 'socket.io-client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { encodeUpdate } from '../../models/adapters/update-codec.ts'
import { parseSafetensors, writeSafetensors } from '../../models/formats/safetensors.ts'
import { RelayClient } from '../client/client.ts'
import { digestOf, digestOfText } from '../protocol/canonical.ts'
import { MAX_MESSAGE_BYTES } from '../protocol/limits.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import type { Relay } from './server.ts'
import { exchangeRaw, openWebSocket } from './testing/raw.ts'
import {
  startTestRelay,
  TEST_SHAPE,
  type TestFolder,
  temporaryFolder,
  testChange,
  testManifest,
  testUpdate,
} from './testing/round.ts'

interface Answer {
  ok: boolean
  code?: string
  offset?: number
  receipt?: { digest: string; contribution: number } | null
  [field: string]: unknown
}

describe('a relay among bad clients', () => {
  const manifest = testManifest()
  let folder: TestFolder
  let relay: Relay
  const sockets: Socket[] = []

  // One relay for all: what a bad client did must not show in the next case either.
  beforeAll(async () => {
    folder = await temporaryFolder()
    relay = await startTestRelay(folder.path)
  })
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.disconnect()
  })
  afterAll(async () => {
    await relay.close()
    await folder[Symbol.asyncDispose]()
  })

  /** An outside client: socket.io and nothing of ours. */
  const connect = async (options: Parameters<typeof io>[1] = {}): Promise<Socket> => {
    const socket = io(relay.url, {
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
      ...options,
    })
    sockets.push(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('connect_error', reject)
    })
    return socket
  }
  const ask = (socket: Socket, event: string, payload: unknown): Promise<Answer> =>
    socket.timeout(10_000).emitWithAck(event, payload)
  const joined = async () => {
    const socket = await connect()
    const answer = await ask(socket, 'join', { protocolVersion: 1, room: manifest.room })
    expect(answer.ok).toBe(true)
    return socket
  }
  const sendAll = async (socket: Socket, update: Uint8Array, begin: object = {}): Promise<Answer> => {
    const digest = digestOf(update)
    const begun = await ask(socket, 'begin', { digest, bytes: update.byteLength, ...begin })
    if (!begun.ok) return begun
    for (let offset = 0; offset < update.byteLength; offset += 256) {
      const answer = await ask(socket, 'chunk', { offset, data: update.slice(offset, offset + 256) })
      if (!answer.ok) return answer
    }
    return ask(socket, 'commit', { digest })
  }
  /** One that no case has sent before. */
  let updates = 0
  const newUpdate = (examples = 5) => testUpdate(manifest, `update ${updates++}`, examples)
  /** The relay still does what it is for. */
  const expectAlive = async () => {
    const client = new RelayClient()
    await client.join(relay.url, manifest.room)
    const update = newUpdate()
    expect((await client.upload(update)).digest).toBe(digestOf(update))
    client.close()
  }

  const refusedUpdates: [string, () => Uint8Array, string][] = [
    ['a file of random bytes', () => randomBytes(900), 'update/malformed'],
    ['an empty safetensors file', () => writeSafetensors([]), 'update/malformed'],
    [
      'the update of another room',
      () => testUpdate(testManifest({ room: 'other' }), 'a'),
      'update/wrong-manifest',
    ],
    [
      'a tensor of the wrong shape',
      () =>
        testShaped({
          ...TEST_SHAPE,
          modules: [{ ...TEST_SHAPE.modules[0]!, inFeatures: 23 }, TEST_SHAPE.modules[1]!],
        }),
      'update/wrong-shape',
    ],
    [
      'a tensor that is not trained',
      () =>
        testShaped({
          ...TEST_SHAPE,
          modules: [
            ...TEST_SHAPE.modules.slice(1),
            { name: 'base_model.model.x', inFeatures: 3, outFeatures: 3 },
          ],
        }),
      'update/unknown-tensor',
    ],
    [
      'one tensor too few',
      () => testShaped({ ...TEST_SHAPE, modules: TEST_SHAPE.modules.slice(1) }),
      'update/missing-tensor',
    ],
    ['NaN', () => edited((bytes) => writeFloat(bytes, 0, Number.NaN)), 'update/not-finite'],
    [
      'infinity',
      () => edited((bytes) => writeFloat(bytes, 0, Number.POSITIVE_INFINITY)),
      'update/not-finite',
    ],
    ['a value beyond 8', () => edited((bytes) => writeFloat(bytes, 0, 8.01 / 127, 127)), 'update/range'],
    ['a change larger than the room allows', () => edited(scaleUp), 'update/norm'],
    ['another encoding than agreed', () => encode({ encoding: 'f32' }, 3e-5), 'upload/too-large'],
    ['an update without its last bytes', () => testUpdate(manifest, 'a').slice(0, -3), 'update/malformed'],
  ]

  /** Encodes the test change for the room, with some of the input changed. */
  function encode(changes: Partial<Parameters<typeof encodeUpdate>[0]>, scale = 0.05) {
    return encodeUpdate({
      change: testChange('a', scale),
      shape: TEST_SHAPE,
      manifestDigest: manifestDigest(manifest),
      examples: 5,
      encoding: 'i8',
      seed: 'a',
      ...changes,
    })
  }
  function testShaped(shape: typeof TEST_SHAPE) {
    const change = new Map<string, Float32Array>()
    for (const { name, inFeatures, outFeatures } of shape.modules) {
      change.set(`${name}.lora_A.weight`, new Float32Array(shape.rank * inFeatures).fill(0.01))
      change.set(`${name}.lora_B.weight`, new Float32Array(shape.rank * outFeatures).fill(0.01))
    }
    return encode({ change, shape })
  }
  /** A well-formed update, with the bytes of its tensors changed. */
  function edited(change: (tensors: Map<string, Uint8Array>) => void): Uint8Array {
    const { tensors, metadata } = parseSafetensors(testUpdate(manifest, 'a'))
    const bytes = new Map([...tensors].map(([name, tensor]) => [name, new Uint8Array(tensor.bytes)]))
    change(bytes)
    return writeSafetensors(
      [...tensors].map(([name, { dtype, shape }]) => ({
        name,
        dtype,
        shape: [...shape],
        bytes: bytes.get(name)!,
      })),
      Object.fromEntries(metadata),
    )
  }
  function writeFloat(tensors: Map<string, Uint8Array>, block: number, scale: number, code?: number) {
    const [name, scales] = [...tensors].find(([candidate]) => candidate.endsWith('.scale'))!
    new DataView(scales.buffer).setFloat32(4 * block, scale, true)
    if (code !== undefined) tensors.get(name.replace('.scale', ''))![0] = code
  }
  function scaleUp(tensors: Map<string, Uint8Array>) {
    // Every value up to 4: within range, and with 224 entries beyond a norm of sqrt(224).
    for (const [name, bytes] of tensors) {
      if (!name.endsWith('.scale')) continue
      for (let i = 0; i < bytes.length; i += 4) new DataView(bytes.buffer).setFloat32(i, 4 / 127, true)
    }
  }

  it.each(refusedUpdates)('refuses %s', async (_, update, code) => {
    const socket = await joined()
    const answer = await sendAll(socket, update())
    expect(answer).toEqual({ ok: false, code })
    const honest = newUpdate()
    expect((await sendAll(socket, honest)).receipt?.digest).toBe(digestOf(honest))
  })

  it('refuses an f32 update where i8 was agreed, also when it fits', async () => {
    await relay.createRoom({
      ...manifest,
      room: 'roomy',
      limits: { ...manifest.limits, updateBytes: 100_000 },
    })
    const roomy = testManifest({ room: 'roomy' }, { updateBytes: 100_000 })
    const socket = await connect()
    await ask(socket, 'join', { protocolVersion: 1, room: 'roomy' })
    const update = encode({ encoding: 'f32', manifestDigest: manifestDigest(roomy) })
    expect(await sendAll(socket, update)).toEqual({ ok: false, code: 'update/wrong-dtype' })
  })

  it('holds the example count of message and file to each other and to the limit', async () => {
    const socket = await joined()
    const update = newUpdate(5)
    expect(await sendAll(socket, update, { examples: 6 })).toEqual({ ok: false, code: 'update/examples' })
    expect(await sendAll(socket, update, { examples: 1001 })).toEqual({
      ok: false,
      code: 'protocol/malformed',
    })
    expect((await sendAll(socket, update, { examples: 5 })).ok).toBe(true)
  })

  it('refuses chunks at the wrong place or of the wrong size, and says where it stands', async () => {
    const socket = await joined()
    const update = newUpdate()
    const digest = digestOf(update)
    const chunk = (offset: number, data: unknown) => ask(socket, 'chunk', { offset, data })
    expect(await chunk(0, update.slice(0, 256))).toEqual({ ok: false, code: 'upload/not-begun' })
    await ask(socket, 'begin', { digest, bytes: update.byteLength })
    expect(await chunk(0, update.slice(0, 256))).toEqual({ ok: true, offset: 256 })
    for (const offset of [0, 255, 257, 10_000]) {
      expect(await chunk(offset, update.slice(0, 10))).toEqual({
        ok: false,
        code: 'upload/offset',
        offset: 256,
      })
    }
    expect(await chunk(256, update.slice(256, 513))).toEqual({ ok: false, code: 'upload/chunk' })
    expect(await chunk(256, new Uint8Array(0))).toEqual({ ok: false, code: 'upload/chunk' })
    expect(await chunk(256, 'text')).toEqual({ ok: false, code: 'protocol/malformed' })
    expect(await chunk(256, [1, 2, 3])).toEqual({ ok: false, code: 'protocol/malformed' })
    expect(await ask(socket, 'commit', { digest })).toEqual({
      ok: false,
      code: 'upload/incomplete',
      offset: 256,
    })
    expect(await ask(socket, 'commit', { digest: digestOfText('x') })).toEqual({
      ok: false,
      code: 'upload/not-begun',
    })
    for (let offset = 256; offset < update.byteLength; offset += 256) {
      await chunk(offset, update.slice(offset, offset + 256))
    }
    expect(await chunk(update.byteLength, new Uint8Array(1))).toEqual({ ok: false, code: 'upload/too-large' })
    expect((await ask(socket, 'commit', { digest })).receipt?.digest).toBe(digest)
  })

  it('refuses bytes that do not have the announced digest, and takes the right ones afterwards', async () => {
    const socket = await joined()
    const update = newUpdate()
    const damaged = update.slice()
    damaged[700]! ^= 1
    const digest = digestOf(update)
    await ask(socket, 'begin', { digest, bytes: update.byteLength })
    for (let offset = 0; offset < update.byteLength; offset += 256) {
      await ask(socket, 'chunk', { offset, data: damaged.slice(offset, offset + 256) })
    }
    expect(await ask(socket, 'commit', { digest })).toEqual({ ok: false, code: 'upload/digest' })
    expect((await sendAll(socket, update)).ok).toBe(true)
  })

  it('counts one update a participant and one participant an update', async () => {
    const socket = await joined()
    const update = newUpdate()
    const first = await sendAll(socket, update)
    expect(await ask(socket, 'commit', { digest: digestOf(update) })).toEqual(first)
    expect(
      (await ask(socket, 'begin', { digest: digestOf(update), bytes: update.byteLength })).receipt,
    ).toEqual(first.receipt)
    expect(await sendAll(socket, newUpdate())).toEqual({ ok: false, code: 'upload/second' })
    expect(await ask(socket, 'commit', { digest: digestOfText('b') })).toEqual({
      ok: false,
      code: 'upload/second',
    })
    const other = await joined()
    const copy = await ask(other, 'begin', { digest: digestOf(update), bytes: update.byteLength })
    expect(copy.receipt).toMatchObject({
      digest: digestOf(update),
      contribution: first.receipt?.contribution,
    })
    expect(await sendAll(other, newUpdate())).toEqual({ ok: false, code: 'upload/second' })
  })

  it('answers messages out of order, unknown and malformed ones with a code', async () => {
    const socket = await connect()
    const digest = digestOfText('x')
    const refusals: [string, unknown, string][] = [
      ['begin', { digest, bytes: 10 }, 'protocol/not-joined'],
      ['chunk', { offset: 0, data: new Uint8Array(4) }, 'protocol/not-joined'],
      ['commit', { digest }, 'protocol/not-joined'],
      ['shutdown', {}, 'protocol/unknown-event'],
      ['__proto__', {}, 'protocol/unknown-event'],
      ['constructor', {}, 'protocol/unknown-event'],
      ['join', null, 'protocol/malformed'],
      ['join', [], 'protocol/malformed'],
      ['join', { protocolVersion: 1, room: 'a\u0000b' }, 'protocol/malformed'],
      ['join', { protocolVersion: 1, room: '../../etc' }, 'protocol/malformed'],
      ['join', { protocolVersion: 1, room: '__proto__' }, 'protocol/malformed'],
      ['join', { protocolVersion: 1, room: 'nowhere' }, 'room/unknown'],
      ['join', { protocolVersion: 1, room: 'constructor' }, 'room/unknown'],
      ['join', { protocolVersion: 2, room: manifest.room }, 'protocol/version'],
      [
        'join',
        JSON.parse('{"protocolVersion":1,"room":"class-7b","__proto__":{"ok":true}}'),
        'protocol/malformed',
      ],
      [
        'join',
        {
          protocolVersion: 1,
          room: manifest.room,
          resume: { participant: '0'.repeat(32), token: '0'.repeat(64) },
        },
        'join/token',
      ],
    ]
    for (const [event, payload, code] of refusals) {
      expect([event, await ask(socket, event, payload)]).toEqual([event, { ok: false, code }])
    }
    expect(({} as { ok?: unknown }).ok).toBeUndefined()
    expect((await ask(socket, 'join', { protocolVersion: 1, room: manifest.room })).ok).toBe(true)
    const twice = await ask(socket, 'join', { protocolVersion: 1, room: manifest.room })
    expect(twice).toEqual({ ok: false, code: 'protocol/already-joined' })
    const refused = new Promise((resolve) => socket.once('refused', resolve))
    socket.emit('gossip', { without: 'an ack' })
    expect(await refused).toEqual({ ok: false, code: 'protocol/unknown-event' })
    const tooMany = await socket.timeout(2000).emitWithAck('commit', { digest }, { digest })
    expect(tooMany).toEqual({ ok: false, code: 'protocol/malformed' })
    await expectAlive()
  })

  it('lets nobody pile up messages', async () => {
    const socket = await joined()
    const update = newUpdate()
    await ask(socket, 'begin', { digest: digestOf(update), bytes: update.byteLength })
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => ask(socket, 'chunk', { offset: 0, data: update.slice(0, 256) })),
    )
    const codes = answers.map(({ ok, code }) => (ok ? 'ok' : code))
    expect(codes.filter((code) => code === 'ok')).toHaveLength(1)
    expect(codes.filter((code) => code === 'protocol/busy').length).toBeGreaterThan(0)
    await expectAlive()
  })

  it('keeps the token of one room from opening another', async () => {
    await relay.createRoom(testManifest({ room: 'other' }))
    const client = new RelayClient()
    const { membership } = await client.join(relay.url, manifest.room)
    client.close()
    const { participant, token } = membership
    const socket = await connect()
    const resume = { participant, token }
    expect(await ask(socket, 'join', { protocolVersion: 1, room: 'other', resume })).toEqual({
      ok: false,
      code: 'join/token',
    })
    expect((await ask(socket, 'join', { protocolVersion: 1, room: manifest.room, resume })).participant).toBe(
      participant,
    )
  })

  it('survives a megabyte of random bytes on the socket', async () => {
    const garbage = randomBytes(1024 * 1024)
    expect(await exchangeRaw(relay.url, garbage)).toMatch(/^HTTP\/1.1 400 /)
    const messages: (Uint8Array | string)[] = [
      garbage,
      garbage.toString('latin1'),
      randomBytes(100),
      '4',
      '42',
      '42[',
      '',
    ]
    messages.push(
      `42["join",${'['.repeat(200_000)}`,
      `42["join",${'['.repeat(200_000)}${']'.repeat(200_000)}]`,
    )
    messages.push(
      '451-["chunk",{"offset":0,"data":{"_placeholder":true,"num":7}}]',
      '4599999999-["chunk"]',
      '42["disconnect"]',
    )
    for (const message of messages) {
      const { status, send, endedByRelay } = await openWebSocket(relay.url)
      expect(status).toBe('HTTP/1.1 101 Switching Protocols')
      send('40')
      send(message)
      send(randomBytes(64))
      expect(await endedByRelay(5000), `ended after ${String(message).slice(0, 40)}`).toBe(true)
    }
    await expectAlive()
  }, 60_000)

  it('hangs up on a message over the limit before it is there', async () => {
    const socket = await joined()
    const gone = new Promise<string>((resolve) => socket.once('disconnect', resolve))
    socket.emit('chunk', { offset: 0, data: new Uint8Array(MAX_MESSAGE_BYTES + 1) }, () => {})
    expect(await gone).toMatch(/transport/)
    await expectAlive()
  })

  it('refuses pages of other sites, long polling, and whoever connects and does not join', async () => {
    const foreign = await openWebSocket(relay.url, { Origin: 'https://evil.example' })
    expect(foreign.status).toMatch(/^HTTP\/1.1 4\d\d/)
    foreign.socket.destroy()
    const own = await openWebSocket(relay.url, { Origin: relay.url })
    expect(own.status).toMatch(/ 101 /)
    own.socket.destroy()
    expect((await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`)).status).toBe(400)

    await using other = await temporaryFolder()
    const impatient = await startTestRelay(other.path, { joinTimeoutMs: 100 })
    const idle = io(impatient.url, { transports: ['websocket'], forceNew: true, reconnection: false })
    sockets.push(idle)
    expect(await new Promise((resolve) => idle.once('refused', resolve))).toEqual({
      ok: false,
      code: 'join/timeout',
    })
    await impatient.close()
  })
})
