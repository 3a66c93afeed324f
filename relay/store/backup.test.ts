/** Backup of a running relay, restore, and what a damaged blob does to both. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import { roomVerifier } from '../server/room-verifier.ts'
import { startTestRelay, temporaryFolder, testManifest, testUpdate } from '../server/testing/round.ts'
import { copyDataFolder } from './backup.ts'
import { verifyRoom } from './verify-room.ts'

const room = 'class-7b'

it('copies a relay under load, and the copy goes on where it was', async () => {
  await using folder = await temporaryFolder()
  const dataDir = join(folder.path, 'data')
  const backup = join(folder.path, 'backup')
  const restored = join(folder.path, 'restored')
  const manifest = testManifest({ publishEvery: 2 })
  const relay = await startTestRelay(dataDir, { rooms: [manifest] })
  const send = async (url: string, seed: string) => {
    const client = new RelayClient()
    await client.join(url, room)
    await client.upload(testUpdate(manifest, seed))
    client.close()
  }
  try {
    for (const seed of ['a', 'b', 'c']) await send(relay.url, seed)
    const meanwhile = Promise.all(['d', 'e', 'f'].map((seed) => send(relay.url, seed)))
    const copied = await copyDataFolder(dataDir, backup)
    expect(copied.updates).toBeGreaterThanOrEqual(3)
    await meanwhile
    await expect(copyDataFolder(dataDir, backup)).rejects.toThrow('not empty')
  } finally {
    await relay.close()
  }
  const { updates } = await copyDataFolder(backup, restored)
  expect(await verifyRoom(join(restored, 'rooms', room), roomVerifier(null))).toMatchObject({
    problems: [],
    updates,
  })
  const again = await startTestRelay(restored, { rooms: [manifest] })
  try {
    await send(again.url, 'g')
    await again.closeRoom(room)
    const status = await (await fetch(`${again.url}/api/rooms/${room}/status`)).json()
    expect(status).toMatchObject({ contributions: updates + 1, waiting: 0 })
  } finally {
    await again.close()
  }
})

it('neither copies nor starts with an update that lost a bit, and keeps what is left of it', async () => {
  await using folder = await temporaryFolder()
  const dataDir = join(folder.path, 'data')
  const relay = await startTestRelay(dataDir)
  const update = testUpdate(testManifest(), 'a')
  const client = new RelayClient()
  await client.join(relay.url, room)
  await client.upload(update)
  client.close()
  await relay.close()
  const path = join(dataDir, 'rooms', room, 'updates', digestOf(update))
  const bytes = await readFile(path)
  bytes[bytes.length - 3]! ^= 4
  await writeFile(path, bytes)
  await expect(copyDataFolder(dataDir, join(folder.path, 'backup'))).rejects.toMatchObject({
    code: 'store/damaged',
  })
  expect(await readdir(folder.path)).toEqual(['data'])
  await expect(startTestRelay(dataDir)).rejects.toThrow(digestOf(update))
  expect(await readFile(join(dataDir, 'rooms', room, 'quarantine', digestOf(update)))).toEqual(bytes)
  await expect(startTestRelay(dataDir)).rejects.toMatchObject({ code: 'store/damaged' })
})
