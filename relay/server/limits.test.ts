/**
 * Limits that no single message reaches: all sockets, all rooms, a full or ended room seen by who is in it; how long a
 * body may take; that a model file is never in memory; and that a stop lets what is being handled be answered.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import type { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { RoomStatus } from '../protocol/messages.ts'
import { nodeFileSystem } from '../store/file-system.ts'
import { OwnRelay } from './testing/own-relay.ts'
import { openRaw, openWebSocket } from './testing/raw.ts'
import { TEST_BASE_DIGEST, testManifest, testUpdate } from './testing/round.ts'

const MAX_SOCKETS = 4
const MAX_ROOMS = 2
vi.mock('../protocol/limits.ts', async (original) => ({
  ...(await original<object>()),
  MAX_SOCKETS: 4,
  MAX_ROOMS: 2,
}))

const manifest = testManifest()
const own = OwnRelay.forEachTest()

it('takes no more sockets than it can hold, from whatever addresses, and again when one has gone', async () => {
  const { url } = await own.start()
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
    const response = await fetch(`${own.relay.url}/api/rooms`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${own.relay.hostToken}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(testManifest({ room })),
    })
    return ((await response.json()) as { error?: { code: string } }).error?.code ?? response.status
  }
  await own.start()
  for (let k = 1; k < MAX_ROOMS; k++) expect(await create(`room-${k}`)).toBe(201)
  expect(await create('one-more')).toBe('room/limit')
  await own.relay.close()
  await own.start()
  expect(await create('one-more')).toBe('room/limit')
  expect(own.relay.rooms()).toHaveLength(MAX_ROOMS)
})

it('tells who is in a room that it is full, closed or over, before a byte of the update is sent', async () => {
  const full = testManifest({ room: 'full', contributions: 1 })
  const over = { ...testManifest({ room: 'over' }), expiresAt: new Date(Date.now() + 1500).toISOString() }
  await own.start({ rooms: [full, over] })
  const [first, second, third] = [await own.joined(full), await own.joined(full), await own.joined(over)]
  await first.upload(testUpdate(full, 'one'))
  const sent: number[] = []
  const upload = (client: RelayClient, of: Manifest) =>
    client.upload(testUpdate(of, 'two'), { onProgress: (bytes) => sent.push(bytes) })
  await expect(upload(second, full)).rejects.toMatchObject({ code: 'room/full' })
  await own.relay.closeRoom(full.room)
  await expect(upload(second, full)).rejects.toMatchObject({ code: 'room/closed' })
  await expect
    .poll(async () => (await (await fetch(`${own.relay.url}/api/rooms/over/status`)).json()).closed, {
      timeout: 20_000,
    })
    .toBe(true)
  await expect(upload(third, over)).rejects.toMatchObject({ code: 'room/expired' })
  expect(sent.filter((bytes) => bytes > 0)).toEqual([])
})

it('lets pages of the origins it was told of connect, and of no others', async () => {
  const { url } = await own.start({ allowedOrigins: ['https://learn.example.org'] })
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
  const { url, hostToken } = await own.start({ patience: { headersMs: 200, requestMs: 400 } })
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
  const path = join(own.folder, 'model.safetensors')
  const file = await open(path, 'w')
  await file.truncate(FILE_BYTES)
  await file.close()
  const { url } = await own.start({
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
  await own.start({ fileSystem })
  const client = await own.joined(manifest)
  const update = testUpdate(manifest, 'last')
  let isAnswered = false
  const receipt = client.upload(update).then((answer) => {
    isAnswered = true
    return answer
  })
  try {
    await expect.poll(() => reached, { timeout: 30_000 }).toBe(true)
    const stopped = own.relay.close()
    expect(await Promise.race([stopped, Promise.resolve('waits')])).toBe('waits')
    expect(isAnswered).toBe(false)
    release()
    expect((await receipt).digest).toBe(digestOf(update))
    await stopped
  } finally {
    release()
    await receipt.catch(() => {})
  }
  await own.start()
  const status = await (await fetch(`${own.relay.url}/api/rooms/${manifest.room}/status`)).json()
  expect((status as RoomStatus).contributions).toBe(1)
})
