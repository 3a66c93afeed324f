/**
 * Limits that no single message reaches: all sockets, all rooms, a full or ended room seen by who is in it; how long a
 * body may take; that a model file is never in memory; and that a stop lets what is being handled be answered.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { RoomStatus } from '../protocol/messages.ts'
import { nodeFileSystem } from '../store/file-system.ts'
import type { Relay, RelayOptions } from './server.ts'
import { openRaw, openWebSocket } from './testing/raw.ts'
import {
  startTestRelay,
  TEST_BASE_DIGEST,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'

const MAX_SOCKETS = 4
const MAX_ROOMS = 2
vi.mock('../protocol/limits.ts', async (original) => ({
  ...(await original<object>()),
  MAX_SOCKETS: 4,
  MAX_ROOMS: 2,
}))

const manifest = testManifest()
let folder: TestFolder
let relay: Relay | undefined
const clients: RelayClient[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await relay?.close()
  relay = undefined
  await folder[Symbol.asyncDispose]()
})

async function start(changes: Partial<RelayOptions> = {}): Promise<Relay> {
  relay = await startTestRelay(join(folder.path, 'data'), changes)
  return relay
}
async function joined({ room }: Manifest): Promise<RelayClient> {
  const client = new RelayClient({ giveUpAfterMs: 5000 })
  clients.push(client)
  await client.join(relay!.url, room)
  return client
}

it('takes no more sockets than it can hold, from whatever addresses, and again when one has gone', async () => {
  const { url } = await start()
  const held = []
  for (let k = 0; k < MAX_SOCKETS; k++) {
    const one = await openWebSocket(url)
    expect(one.status).toMatch(/ 101 /)
    held.push(one)
  }
  const answer = await openWebSocket(url)
  expect(answer.status).toMatch(/ 503 /)
  answer.socket.destroy()
  held.pop()!.socket.destroy()
  const next = async () => {
    const one = await openWebSocket(url)
    held.push(one)
    return one.status
  }
  await expect.poll(next, { timeout: 10_000 }).toMatch(/ 101 /)
  for (const { socket } of held) socket.destroy()
})

it('holds so many rooms and no more, also after a restart', async () => {
  const create = async (room: string) => {
    const response = await fetch(`${relay!.url}/api/rooms`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${relay!.hostToken}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(testManifest({ room })),
    })
    return ((await response.json()) as { error?: { code: string } }).error?.code ?? response.status
  }
  await start()
  for (let k = 1; k < MAX_ROOMS; k++) expect(await create(`room-${k}`)).toBe(201)
  expect(await create('one-more')).toBe('room/limit')
  await relay!.close()
  await start()
  expect(await create('one-more')).toBe('room/limit')
  expect(relay!.rooms()).toHaveLength(MAX_ROOMS)
})

it('tells who is in a room that it is full, closed or over, before a byte of the update is sent', async () => {
  const full = testManifest({ room: 'full', contributions: 1 })
  const over = { ...testManifest({ room: 'over' }), expiresAt: new Date(Date.now() + 1500).toISOString() }
  await start({ rooms: [full, over] })
  const [first, second, third] = [await joined(full), await joined(full), await joined(over)]
  await first.upload(testUpdate(full, 'one'))
  const sent: number[] = []
  const upload = (client: RelayClient, of: Manifest) =>
    client.upload(testUpdate(of, 'two'), { onProgress: (bytes) => sent.push(bytes) })
  await expect(upload(second, full)).rejects.toMatchObject({ code: 'room/full' })
  await relay!.closeRoom(full.room)
  await expect(upload(second, full)).rejects.toMatchObject({ code: 'room/closed' })
  await expect
    .poll(async () => (await (await fetch(`${relay!.url}/api/rooms/over/status`)).json()).closed, {
      timeout: 20_000,
    })
    .toBe(true)
  await expect(upload(third, over)).rejects.toMatchObject({ code: 'room/expired' })
  expect(sent.filter((bytes) => bytes > 0)).toEqual([])
})

it('lets pages of the origins it was told of connect, and of no others', async () => {
  const { url } = await start({ allowedOrigins: ['https://learn.example.org'] })
  for (const [origin, status] of [
    ['https://learn.example.org', / 101 /],
    ['http://learn.example.org', / 403 /],
    ['https://learn.example.org:8443', / 403 /],
    ['https://learn.example.org.evil.example', / 403 /],
    [url, / 101 /],
  ] as const) {
    const one = await openWebSocket(url, { Origin: origin })
    expect(one.status, origin).toMatch(status)
    one.socket.destroy()
  }
})

it('ends a request whose body comes a byte at a time', async () => {
  const { url, hostToken } = await start({ patience: { headersMs: 200, requestMs: 400 } })
  const slow = await openRaw(url)
  slow.on('error', () => {})
  const ended = new Promise<boolean>((resolve) => slow.once('close', () => resolve(true)))
  slow.resume()
  const head = `Host: x\r\nAuthorization: Bearer ${hostToken}\r\nContent-Type: application/json\r\nContent-Length: 100000`
  slow.write(`POST /api/rooms HTTP/1.1\r\n${head}\r\n\r\n{`)
  const drip = setInterval(() => slow.writable && slow.write(' '), 50)
  expect(await ended).toBe(true)
  clearInterval(drip)
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
})

it('streams a model to a whole class from disk: not even once is the file in memory', async () => {
  const FILE_BYTES = 128 * 1024 * 1024
  const path = join(folder.path, 'model.safetensors')
  const file = await open(path, 'w')
  await file.truncate(FILE_BYTES)
  await file.close()
  const { url } = await start({
    modelFiles: [{ digest: TEST_BASE_DIGEST, files: new Map([['model.safetensors', path]]) }],
  })
  const before = process.memoryUsage().external
  const readers = await Promise.all(Array.from({ length: 15 }, () => openRaw(url)))
  for (const reader of readers) {
    reader.on('error', () => {})
    // Nobody reads on: what the relay has read ahead stays in its memory.
    reader.write(`GET /models/${TEST_BASE_DIGEST}/model.safetensors HTTP/1.1\r\nHost: x\r\n\r\n`)
  }
  await expect.poll(() => readers.every(({ bytesRead }) => bytesRead > 0), { timeout: 20_000 }).toBe(true)
  expect(process.memoryUsage().external - before).toBeLessThan(FILE_BYTES / 4)
  for (const reader of readers) reader.destroy()
})

it('answers what it is handling before it stops', async () => {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  let reached = false
  const fileSystem = {
    ...nodeFileSystem,
    async syncFile(path: string) {
      if (path.includes(`${manifest.room}/open/`)) {
        reached = true
        await released
      }
      await nodeFileSystem.syncFile(path)
    },
  }
  await start({ fileSystem })
  const client = await joined(manifest)
  const update = testUpdate(manifest, 'last')
  let isAnswered = false
  const receipt = client.upload(update).then((answer) => {
    isAnswered = true
    return answer
  })
  try {
    await expect.poll(() => reached, { timeout: 30_000 }).toBe(true)
    const stopped = relay!.close()
    expect(await Promise.race([stopped, Promise.resolve('waits')])).toBe('waits')
    expect(isAnswered).toBe(false)
    release()
    expect((await receipt).digest).toBe(digestOf(update))
    await stopped
  } finally {
    release()
    await receipt.catch(() => {})
  }
  await start()
  const status = await (await fetch(`${relay!.url}/api/rooms/${manifest.room}/status`)).json()
  expect((status as RoomStatus).contributions).toBe(1)
})
