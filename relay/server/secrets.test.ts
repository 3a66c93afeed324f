/** Secrets: how they are compared, whose they are, and that none of them, nor anybody's address, is in the log. */
import * as crypto from 'node:crypto'
import pino from 'pino'
import { io, type Socket } from 'socket.io-client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import type { Relay } from './server.ts'
import { openWebSocket } from './testing/raw.ts'
import {
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'

vi.mock('node:crypto', async (original) => {
  const actual = await original<typeof crypto>()
  return { ...actual, timingSafeEqual: vi.fn(actual.timingSafeEqual) }
})

const CODE = '7KQ4-M2XT'
const manifest = testManifest({ publishEvery: 1 })
let folder: TestFolder
let relay: Relay
let lines: string[]
const sockets: Socket[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
  lines = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
  relay = await startTestRelay(folder.path, { rooms: [manifest], log })
  relay.setJoinCode(manifest.room, CODE)
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.disconnect()
  await relay.close()
  await folder[Symbol.asyncDispose]()
})

async function join(more: object) {
  const socket = io(relay.url, { transports: ['websocket'], forceNew: true, reconnection: false })
  sockets.push(socket)
  return socket
    .timeout(10_000)
    .emitWithAck('join', { protocolVersion: 1, room: manifest.room, ...more }) as Promise<{
    ok: boolean
    code?: string
    participant: string
    token: string
  }>
}
const overview = (token: string) =>
  fetch(`${relay.url}/api/rooms/${manifest.room}/overview`, { headers: { Authorization: `Bearer ${token}` } })

it('join codes, tokens and the host’s key are compared in constant time, whatever length is tried', async () => {
  const { participant, token } = await join({ code: CODE })
  const compare = vi.mocked(crypto.timingSafeEqual)
  const attempts: [string, () => Promise<unknown>][] = [
    ['join/code', () => join({ code: '7KQ4-M2XU' })],
    ['join/code', () => join({ code: '7KQ4' })],
    ['join/code', () => join({})],
    ['join/token', () => join({ resume: { participant, token: `${'0'.repeat(63)}1` } })],
    ['host/token', () => overview('x').then(async (answer) => (await answer.json()).error)],
    [
      'host/token',
      () => overview(`${relay.hostToken.slice(1)}x`).then(async (answer) => (await answer.json()).error),
    ],
    ['undefined', () => join({ code: CODE })],
    ['undefined', () => join({ resume: { participant, token } })],
  ]
  for (const [code, attempt] of attempts) {
    compare.mockClear()
    expect(String(((await attempt()) as { code?: string }).code)).toBe(code)
    expect(compare, code).toHaveBeenCalledTimes(1)
    expect(compare.mock.calls[0]!.map(({ byteLength }) => byteLength)).toEqual([32, 32])
  }
})

it('one participant cannot send for another', async () => {
  const one = await join({ code: CODE })
  const other = await join({ code: CODE })
  const taken = await join({ resume: { participant: one.participant, token: other.token } })
  expect(taken).toEqual({ ok: false, code: 'join/token' })
  // Nor does a token stand for the code in place of a number.
  expect(await join({ code: one.token.slice(0, 32) })).toEqual({ ok: false, code: 'join/code' })
})

it('the log names no participant, address, origin or secret', async () => {
  const client = new RelayClient()
  const { membership } = await client.join(relay.url, manifest.room, undefined, CODE)
  const update = testUpdate(manifest, 'one')
  await client.upload(update)
  await expect.poll(() => lines.join(''), { timeout: 30_000 }).toContain('version published')
  const spoilt = await join({ code: CODE })
  const [socket] = sockets
  const garbage = new Uint8Array(300).fill(7)
  await socket!.emitWithAck('begin', { digest: digestOf(garbage), bytes: garbage.byteLength })
  for (const [at, end] of [
    [0, 256],
    [256, 300],
  ] as const) {
    await socket!.emitWithAck('chunk', { offset: at, data: garbage.slice(at, end) })
  }
  expect(await socket!.emitWithAck('commit', { digest: digestOf(garbage) })).toMatchObject({ ok: false })
  await join({ code: 'WRONG-CODE' })
  await join({ resume: { participant: spoilt.participant, token: membership.token } })
  const foreign = await openWebSocket(relay.url, {
    Origin: 'https://evil.example',
    'X-Forwarded-For': '192.0.2.7',
  })
  foreign.socket.destroy()
  expect((await overview('guessed-token')).status).toBe(401)
  expect((await overview(relay.hostToken)).status).toBe(200)
  await fetch(`${relay.url}/api/rooms/${manifest.room}/contributions/${digestOf(update)}/remove`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${relay.hostToken}` },
  })
  await expect.poll(() => client.state.phase, { timeout: 10_000 }).toBe('withdrawn')
  client.close()
  await relay.closeRoom(manifest.room)

  const log = lines.join('')
  // It did log all of this.
  for (const said of ['update accepted', 'contribution withdrawn', 'room closed', 'join/origin', 'join/code'])
    expect(log).toContain(said)
  const { participant, token } = membership
  for (const [what, secret] of Object.entries({
    participant,
    token,
    refused: spoilt.participant,
    refusedToken: spoilt.token,
    code: CODE,
    wrongCode: 'WRONG-CODE',
    hostToken: relay.hostToken,
    wrongToken: 'guessed-token',
    address: '127.0.0.1',
    forwarded: '192.0.2.7',
    origin: 'evil.example',
  })) {
    expect(log.includes(secret), `${what} in the log`).toBe(false)
  }
})
