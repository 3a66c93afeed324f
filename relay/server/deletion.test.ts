/** A room that its host deletes: nothing of it is answered, kept or given out again, over a restart too. */
import { readdir, readFile, truncate } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { parse } from 'valibot'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { readAuditLog } from '../protocol/audit.ts'
import { digestOf } from '../protocol/canonical.ts'
import { deletedRoomSchema } from '../protocol/host.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import { RelayStore } from '../store/relay-store.ts'
import type { Relay } from './server.ts'
import {
  roundsManifest,
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'

const ROOM = 'class-7b'
const manifest = testManifest({ publishEvery: 1 })
const other = testManifest({ room: 'other' })

let folder: TestFolder
let relay: Relay
const clients: RelayClient[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
  relay = await startTestRelay(folder.path, { rooms: [manifest, other] })
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await relay.close()
  await folder[Symbol.asyncDispose]()
})

async function joined(room = ROOM): Promise<RelayClient> {
  const client = new RelayClient({ giveUpAfterMs: 5000 })
  clients.push(client)
  await client.join(relay.url, room)
  return client
}

const published = (client: RelayClient) =>
  new Promise<void>((resolve) => {
    client.on('published', () => resolve())
    if (client.versions.length > 0) resolve()
  })

const ask = (path: string, method = 'GET', body?: unknown, token = relay.hostToken) =>
  fetch(`${relay.url}/api/rooms${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

async function refused(path: string, method?: string, body?: unknown, token?: string) {
  const response = await ask(path, method, body, token)
  const { error } = (await response.json()) as { error?: { code: string } }
  return `${response.status} ${error?.code}`
}

describe('DELETE of a room', () => {
  it('ends it for everybody, erases all of it, and keeps its name taken', async () => {
    const [sender, reader] = [await joined(), await joined()]
    const update = testUpdate(manifest, 'one')
    await sender.upload(update)
    await published(reader)
    const neighbour = await joined('other')
    const log = await (await ask(`/${ROOM}/audit`)).text()
    const membership = reader.membership!

    expect(await refused(`/${ROOM}`, 'DELETE', undefined, 'not-the-token')).toBe('401 host/token')
    expect(await refused('/nowhere', 'DELETE')).toBe('404 room/unknown')
    const told = new Promise((resolve) => reader.on('state', resolve))
    const answer = await ask(`/${ROOM}`, 'DELETE')
    expect(answer.status).toBe(200)
    const deleted = parse(deletedRoomSchema, await answer.json())
    const last = readAuditLog(log).at(-1)!
    expect(deleted).toMatchObject({
      room: ROOM,
      manifestDigest: manifestDigest(manifest),
      log: { lines: last.sequence, hash: last.hash },
    })

    expect(await told).toMatchObject({ phase: 'failed', error: { code: 'room/deleted' } })
    for (const path of ['manifest', 'status', 'versions', 'versions/1/version.json', 'audit', 'overview']) {
      expect(await refused(`/${ROOM}/${path}`)).toBe('410 room/deleted')
    }
    expect(await refused(`/${ROOM}`, 'DELETE')).toBe('410 room/deleted')
    await expect(joined()).rejects.toMatchObject({ code: 'room/deleted' })
    const again = new RelayClient()
    await expect(again.join(relay.url, ROOM, membership)).rejects.toMatchObject({ code: 'room/deleted' })
    expect(await refused('', 'POST', manifest)).toBe('409 room/exists')
    const { rooms } = (await (await ask('')).json()) as { rooms: { room: string }[] }
    expect(rooms.map(({ room }) => room)).toEqual(['other'])

    // Nothing of it lies on the disk, in whatever file.
    expect(await readdir(join(folder.path, 'rooms'))).toEqual(['other'])
    for (const name of ['relay.sqlite', 'relay.sqlite-wal']) {
      const bytes = await readFile(join(folder.path, name))
      expect(bytes.includes(digestOf(update))).toBe(false)
      expect(bytes.includes(membership.participant)).toBe(false)
    }
    const lines = readAuditLog(await readFile(join(folder.path, 'deleted-rooms.jsonl'), 'utf8'))
    expect(lines.map(({ event }) => event)).toEqual([
      { event: 'deleted', room: ROOM, manifestDigest: deleted.manifestDigest, log: deleted.log },
    ])

    // The neighbours notice nothing, and a restart changes nothing.
    await neighbour.upload(testUpdate(other, 'two'))
    await relay.close()
    relay = await startTestRelay(folder.path, { rooms: [other] })
    expect(relay.rooms()).toEqual(['other'])
    expect(await refused(`/${ROOM}/manifest`)).toBe('410 room/deleted')
    await expect(relay.createRoom(manifest)).rejects.toMatchObject({ code: 'room/exists' })
    expect((await joined('other')).status).toMatchObject({ contributions: 1 })
  })

  it('waits for what is being accepted, and ends downloads', async () => {
    const client = await joined()
    await client.upload(testUpdate(manifest, 'one'))
    await published(client)
    // More than the sockets between here and there hold.
    await truncate(join(folder.path, 'rooms', ROOM, 'versions', '1', 'adapter_model.safetensors'), 64e6)
    const path = `${relay.url}/api/rooms/${ROOM}/versions/1/adapter_model.safetensors`
    const ended = new Promise<string>((resolve, reject) => {
      get(path, (response) => {
        response.once('readable', () => begun(response))
        response.once('end', () => reject(new Error('all of it arrived')))
        response.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
      })
      const begun = async (response: NodeJS.ReadableStream) => {
        const sending = joined().then((second) => second.upload(testUpdate(manifest, 'two')))
        const [deleted, sent] = await Promise.allSettled([ask(`/${ROOM}`, 'DELETE'), sending])
        expect(deleted.status).toBe('fulfilled')
        if (sent.status === 'rejected')
          expect(sent.reason.code).toMatch(/^(room\/deleted|network\/unreachable)$/)
        response.resume()
      }
    })
    expect(await ended).toBe('ECONNRESET')
    expect(await readdir(join(folder.path, 'rooms'))).toEqual(['other'])
  })

  it('ends a room of rounds while its clock runs', async () => {
    const stepped = roundsManifest(
      { kind: 'rounds', rounds: 2, quorum: 2, deadlineSeconds: 600, late: 'next' },
      { room: 'rounds' },
    )
    await relay.createRoom(stepped)
    const client = await joined('rounds')
    await client.upload(testUpdate(stepped, 'one'))
    await relay.deleteRoom('rounds')
    await expect(relay.deleteRoom('rounds')).rejects.toMatchObject({ code: 'room/deleted' })
    expect(relay.rooms()).toEqual([ROOM, 'other'])
  })
})

describe('a relay that died while it erased a room', () => {
  it('serves nothing of it, and erases the rest at the next start', async () => {
    const client = await joined()
    await client.upload(testUpdate(manifest, 'one'))
    await published(client)
    await relay.close()

    const store = await RelayStore.open({ directory: folder.path })
    const room = store.restored.find(({ store: one }) => one.room === ROOM)!.store
    store.commitDeletion(room)
    store.close()
    expect(await readdir(join(folder.path, 'rooms', ROOM))).toContain('updates')

    relay = await startTestRelay(folder.path, { rooms: [other] })
    expect(relay.rooms()).toEqual(['other'])
    expect(await readdir(join(folder.path, 'rooms'))).toEqual(['other'])
    const log = readAuditLog(await readFile(join(folder.path, 'deleted-rooms.jsonl'), 'utf8'))
    expect(log).toHaveLength(1)
  })
})
