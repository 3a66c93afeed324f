/**
 * What happens to a relay in the open: connections that dawdle, vanish or shout, visitors by the hundred, a disk that
 * is full or cannot be written. It stays up, its memory stays where it was, and honest participants notice nothing.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { io, type Socket } from 'socket.io-client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import type { RoomStatus } from '../protocol/messages.ts'
import { type FileSystem, nodeFileSystem } from '../store/file-system.ts'
import type { Relay } from './server.ts'
import { openRaw, openWebSocket } from './testing/raw.ts'
import {
  NO_ADDRESS_LIMITS,
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'
import { spawnRelay } from './testing/spawn-relay.ts'
import { visit } from './testing/visit.ts'

const manifest = testManifest()
let folder: TestFolder
let relay: Relay | undefined

beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(async () => {
  await relay?.close()
  relay = undefined
  await folder[Symbol.asyncDispose]()
})

let updates = 0
/** The relay still does what it is for. */
async function expectAlive(url: string, room = manifest): Promise<void> {
  const client = new RelayClient({ giveUpAfterMs: 10_000 })
  await client.join(url, room.room)
  const update = testUpdate(room, `honest ${updates++}`)
  expect((await client.upload(update)).digest).toBe(digestOf(update))
  client.close()
}
const status = async (url: string) =>
  (await (await fetch(`${url}/api/rooms/${manifest.room}/status`)).json()) as RoomStatus
const ended = (socket: { once(event: 'close', heard: () => void): unknown }) =>
  new Promise<void>((resolve) => socket.once('close', () => resolve()))

describe('a connection', () => {
  it('that sends its request a byte at a time is ended, and keeps nobody else out', async () => {
    relay = await startTestRelay(folder.path, { patience: { headersMs: 300 } })
    const slow = await Promise.all(Array.from({ length: 50 }, () => openRaw(relay!.url)))
    const all = Promise.all(slow.map(ended))
    const drip = setInterval(() => {
      for (const socket of slow) if (socket.writable) socket.write('X')
    }, 50)
    for (const socket of slow) {
      socket.on('error', () => {})
      socket.write('GET /healthz HTTP/1.1\r\nX-Slow: ')
    }
    await expectAlive(relay.url)
    await all
    clearInterval(drip)
    await expectAlive(relay.url)
  })

  it('beyond its address’ share is not taken, and an honest one is, once there is room', async () => {
    relay = await startTestRelay(folder.path, { limits: { ...NO_ADDRESS_LIMITS, sockets: 5 } })
    const idle = await Promise.all(Array.from({ length: 30 }, () => openRaw(relay!.url)))
    for (const socket of idle) socket.on('error', () => {})
    await expect.poll(() => idle.filter((socket) => socket.closed || socket.destroyed).length).toBe(10)
    for (const socket of idle) socket.destroy()
    await expect
      .poll(() =>
        expectAlive(relay!.url).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true)
  })

  it('that is still open here and gone there is noticed, and its participant is not counted any more', async () => {
    relay = await startTestRelay(folder.path, { patience: { pingMs: 400 } })
    const honest = new RelayClient()
    const counts: number[] = []
    honest.on('status', ({ connected }) => counts.push(connected))
    await honest.join(relay.url, manifest.room)
    const gone = await openWebSocket(relay.url)
    gone.send('40')
    gone.send(`420["join",${JSON.stringify({ protocolVersion: 1, room: manifest.room })}]`)
    await expect.poll(() => counts, { timeout: 20_000 }).toContain(2)
    // It answers no ping, as if the machine had been switched off.
    await expect.poll(() => counts.slice(counts.indexOf(2)), { timeout: 20_000 }).toContain(1)
    gone.socket.destroy()
    honest.close()
  })

  it('to a namespace that there is not, or with a frame that announces 101 MiB, is refused or ended', async () => {
    relay = await startTestRelay(folder.path)
    for (const namespace of ['admin', '__proto__', 'constructor']) {
      const socket: Socket = io(`${relay.url}/${namespace}`, {
        transports: ['websocket'],
        forceNew: true,
        reconnection: false,
      })
      expect(
        await new Promise((resolve) => socket.once('connect_error', (error) => resolve(error.message))),
      ).toMatch(/namespace/i)
      socket.disconnect()
    }
    const huge = await openWebSocket(relay.url)
    huge.send('40')
    const head = Buffer.alloc(14)
    head[0] = 0x82
    head[1] = 0x80 | 127
    head.writeBigUInt64BE(BigInt(101 * 1024 * 1024), 2)
    huge.socket.write(head)
    // Ended by its announcement: not a byte of it has to come first.
    expect(await huge.endedByRelay(5000)).toBe(true)
    const one = await openWebSocket(relay.url)
    one.send(new Uint8Array([0xff]))
    expect(await one.endedByRelay(5000)).toBe(true)
    await expectAlive(relay.url)
  })
})

it('200 visitors leave nothing behind: no socket, no timer, no memory', async () => {
  const process = await spawnRelay(folder.path, { rooms: [manifest] })
  try {
    const atRest = async () => {
      await expect.poll(() => status(process.url), { timeout: 20_000 }).toMatchObject({ connected: 0 })
      await expect
        .poll(async () => (await process.usage()).connections, { timeout: 20_000 })
        .toBeLessThanOrEqual(1)
      return process.usage()
    }
    const visits = async (count: number) => {
      for (let k = 0; k < count; k += 10) {
        await Promise.all(Array.from({ length: 10 }, (_, i) => visit(process.url, manifest.room, k + i)))
      }
      return atRest()
    }
    const before = await visits(100)
    const after = await visits(200)
    const held = (usage: typeof before) => usage.heapBytes + usage.externalBytes
    // A socket that is not let go holds some 10 KB: 200 of them reach this. Warming up still takes some hundred KB.
    expect(held(after) - held(before)).toBeLessThan(1.5 * 1024 * 1024)
    expect(after.timers).toBeLessThanOrEqual(before.timers + 1)
    expect(process.errors()).toBe('')
    await expectAlive(process.url)
  } finally {
    await process.kill()
  }
})

describe('a disk', () => {
  /** Fails as the disk would, while `failing` says so. */
  const failing = (code: string) => {
    const state = { isFailing: false }
    const fail = () => {
      if (state.isFailing) throw Object.assign(new Error(`${code}: as injected`), { code })
    }
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      async append(path, bytes) {
        fail()
        await nodeFileSystem.append(path, bytes)
      },
      async write(path, bytes) {
        fail()
        await nodeFileSystem.write(path, bytes)
      },
      async syncFile(path) {
        fail()
        await nodeFileSystem.syncFile(path)
      },
    }
    return { state, fileSystem }
  }

  it.each([
    ['ENOSPC', 'store/full'],
    ['EROFS', 'store/unwritable'],
  ])(
    'that says %s: participants hear %s, and go on where they were once it takes writes',
    async (code, heard) => {
      const { state, fileSystem } = failing(code)
      relay = await startTestRelay(folder.path, { fileSystem })
      const update = testUpdate(manifest, 'patient')
      const client = new RelayClient({ giveUpAfterMs: 5000 })
      await client.join(relay.url, manifest.room)
      const onProgress = (sent: number) => {
        state.isFailing = sent >= 256
      }
      await expect(client.upload(update, { onProgress })).rejects.toMatchObject({ code: heard })
      expect((await fetch(`${relay.url}/readyz`)).status).toBe(503)
      state.isFailing = false
      const offsets: number[] = []
      const receipt = await client.upload(update, { onProgress: (sent) => offsets.push(sent) })
      expect(receipt.digest).toBe(digestOf(update))
      expect(offsets[0]).toBeGreaterThanOrEqual(256)
      client.close()
    },
  )

  it.each([
    ['ENOSPC', 'store/full'],
    ['EROFS', 'store/unwritable'],
    ['EACCES', 'store/unwritable'],
  ])('that says %s at the start: the relay says %s and lets go of the folder', async (code, heard) => {
    const { state, fileSystem } = failing(code)
    state.isFailing = true
    await expect(startTestRelay(folder.path, { fileSystem })).rejects.toMatchObject({ code: heard })
    relay = await startTestRelay(folder.path)
    await expectAlive(relay.url)
  })

  it('with a file where the folder should be: the relay says what it lacks', async () => {
    const file = join(folder.path, 'a-file')
    await writeFile(file, 'not a folder')
    await expect(startTestRelay(join(file, 'data'))).rejects.toMatchObject({ code: 'store/unwritable' })
    await mkdir(join(folder.path, 'data'))
  })
})

it('many rooms on one relay are strangers to each other', async () => {
  const rooms = Array.from({ length: 12 }, (_, k) => testManifest({ room: `room-${k}`, publishEvery: 1 }))
  relay = await startTestRelay(folder.path, { rooms })
  await Promise.all(rooms.map((room) => expectAlive(relay!.url, room)))
  const { rooms: listed } = (await (await fetch(`${relay.url}/api/rooms`)).json()) as {
    rooms: (RoomStatus & { room: string; manifestDigest: string })[]
  }
  expect(listed.map(({ room }) => room).toSorted()).toEqual(rooms.map(({ room }) => room).toSorted())
  for (const { contributions } of listed) expect(contributions).toBe(1)
  expect(new Set(listed.map((one) => one.manifestDigest)).size).toBe(12)
  const stranger = new RelayClient({ giveUpAfterMs: 5000 })
  await stranger.join(relay.url, 'room-1')
  await expect(stranger.upload(testUpdate(rooms[0]!, 'elsewhere'))).rejects.toMatchObject({
    code: 'update/wrong-manifest',
  })
  expect(manifestDigest(rooms[0]!)).not.toBe(manifestDigest(rooms[1]!))
  stranger.close()
})
