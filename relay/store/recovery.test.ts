import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, digestOf, digestOfText } from '../protocol/canonical.ts'
import { MAX_OPEN_UPLOADS } from '../protocol/limits.ts'
import { type TestFolder, temporaryFolder, testManifest, testUpdate } from '../server/testing/round.ts'
import { nodeFileSystem } from './file-system.ts'
import { RelayStore } from './relay-store.ts'
import type { RoomStore } from './room-store.ts'

const manifest = testManifest({ contributions: 2 })
const inspect = async (_: Digest, bytes: Uint8Array) => ({
  digest: digestOf(bytes),
  examples: 5,
  norm: 1,
  start: null,
})
const participantOf = (seed: string) => digestOfText(seed).slice(0, 32)

describe('a data folder', () => {
  let folder: TestFolder
  beforeEach(async () => {
    folder = await temporaryFolder()
  })
  afterEach(() => folder[Symbol.asyncDispose]())

  const open = (changes: Partial<Parameters<typeof RelayStore.open>[0]> = {}) =>
    RelayStore.open({ directory: folder.path, ...changes })
  const roomFolder = (...names: string[]) => join(folder.path, 'rooms', manifest.room, ...names)
  const upload = async (room: RoomStore, seed: string) => {
    const update = testUpdate(room.manifest, seed)
    await room.begin(participantOf(seed), digestOf(update), update.byteLength, () => false)
    await room.append(participantOf(seed), update)
    return room.accept(participantOf(seed), inspect)
  }

  it('keeps nothing unfinished of a participant whose update another one has sent meanwhile', async () => {
    const store = await open()
    const room = await store.createRoom(manifest)
    const update = testUpdate(manifest, 'same')
    const late = participantOf('late')
    await room.begin(late, digestOf(update), update.byteLength, () => false)
    await room.append(late, update.slice(0, 300))
    const receipt = await upload(room, 'same')
    expect(await room.acceptKnown(late, digestOf(update))).toEqual({ ...receipt, participant: late })
    expect(room.openUpload(late)).toBeNull()
    expect(await readdir(roomFolder('open'))).toEqual([])
    expect(room.contributions()).toBe(1)
    expect(await room.acceptKnown(late, digestOfText('unknown'))).toBeNull()
    store.close()
  })

  it('recovers rooms, updates, receipts, versions, open uploads and the token key', async () => {
    const before = await open()
    const room = await before.createRoom(manifest)
    const receipt = await upload(room, 'one')
    const version = await room.addVersion(
      { version: 1, digest: receipt.digest as Digest },
      [receipt.digest as Digest],
      {
        'adapter_config.json': new Uint8Array(3),
      },
    )
    const unfinished = testUpdate(manifest, 'two')
    await room.begin(participantOf('two'), digestOf(unfinished), unfinished.byteLength, () => false)
    await room.append(participantOf('two'), unfinished.slice(0, 700))
    room.close()
    const { tokenKey } = before
    before.close()

    const after = await open()
    expect(after.tokenKey).toEqual(tokenKey)
    expect(after.tokenKey).toHaveLength(32)
    const [restored] = after.restored
    expect(restored).toMatchObject({ closed: true })
    expect(restored!.store.manifest).toEqual(manifest)
    expect(restored!.store.receipt(participantOf('one'))).toEqual(receipt)
    expect(restored!.store.versions()).toEqual([version])
    expect(restored!.store.damagedVersions()).toEqual([])
    expect(restored!.store.openUpload(participantOf('two'))).toEqual({
      digest: digestOf(unfinished),
      bytes: unfinished.byteLength,
      offset: 700,
    })
    expect(JSON.parse(await readFile(roomFolder('manifest.json'), 'utf8'))).toEqual(manifest)
    expect(JSON.parse(await readFile(roomFolder('versions', '1', 'version.json'), 'utf8'))).toMatchObject({
      version: 1,
      contributions: 1,
      digest: receipt.digest,
      updateDigests: [receipt.digest],
    })
    after.close()
  })

  it('clears away what no transaction names', async () => {
    const before = await open()
    const room = await before.createRoom(manifest)
    const { digest } = await upload(room, 'one')
    before.close()
    await writeFile(roomFolder('updates', digestOfText('orphan')), 'orphan')
    await mkdir(roomFolder('versions', '1'))
    await mkdir(roomFolder('versions', '2.unfinished'))
    await writeFile(roomFolder('open', 'what is this'), 'x')
    await writeFile(roomFolder('open', `${participantOf('one')}.${digest}.9`), 'has a receipt')
    await writeFile(roomFolder('open', `${participantOf('two')}.${digest}.3`), 'longer than announced')
    const old = roomFolder('open', `${participantOf('three')}.${digest}.900`)
    await writeFile(old, 'old')
    await utimes(old, new Date('2020-01-01'), new Date('2020-01-01'))
    const after = await open()
    expect(await readdir(roomFolder('updates'))).toEqual([digest])
    expect(await readdir(roomFolder('versions'))).toEqual([])
    expect(await readdir(roomFolder('open'))).toEqual([])
    after.close()
  })

  it('is opened by one relay at a time', async () => {
    const first = await open()
    await expect(open()).rejects.toMatchObject({ code: 'store/locked' })
    first.close()
    const second = await open()
    second.close()
  })

  it('says when an accepted update is gone, and leaves the rest as it is', async () => {
    const store = await open()
    const { digest } = await upload(await store.createRoom(manifest), 'one')
    store.close()
    await rm(roomFolder('updates', digest))
    await expect(open()).rejects.toMatchObject({ code: 'store/damaged' })
    await expect(open()).rejects.toThrow(digest)
  })

  it('removes no updates that its ledger has forgotten', async () => {
    const store = await open()
    const { digest } = await upload(await store.createRoom(manifest), 'one')
    store.close()
    for (const name of ['relay.sqlite', 'relay.sqlite-wal', 'relay.sqlite-shm']) {
      await rm(join(folder.path, name), { force: true })
    }
    const empty = await open()
    await expect(empty.createRoom(manifest)).rejects.toMatchObject({ code: 'store/damaged' })
    empty.close()
    expect(await readdir(roomFolder('updates'))).toEqual([digest])
  })

  it('notices a version whose files have changed', async () => {
    const store = await open()
    const room = await store.createRoom(manifest)
    const { digest } = await upload(room, 'one')
    const files = { 'adapter_config.json': new Uint8Array([1, 2, 3]) }
    const version = await room.addVersion({ version: 1, digest: digest as Digest }, [digest as Digest], files)
    store.close()
    await writeFile(room.versionPath(1, 'adapter_config.json'), Buffer.from([1, 2, 4]))
    const again = await open()
    const { store: damaged } = again.restored[0]!
    expect(damaged.damagedVersions()).toEqual([version])
    const other = { 'adapter_config.json': new Uint8Array([1, 2, 5]) }
    await expect(damaged.restoreVersion(version, other)).rejects.toMatchObject({
      code: 'store/version-differs',
    })
    await damaged.restoreVersion(damaged.damagedVersions()[0]!, files)
    expect(damaged.damagedVersions()).toEqual([])
    again.close()
    const repaired = await open()
    expect(repaired.restored[0]!.store.damagedVersions()).toEqual([])
    repaired.close()
  })

  it('takes no more contributions than the manifest allows, and leaves no file of a refused one', async () => {
    const store = await open()
    const room = await store.createRoom(manifest)
    const accepted = [await upload(room, 'one'), await upload(room, 'two')]
    await expect(upload(room, 'three')).rejects.toMatchObject({ code: 'room/full' })
    expect((await readdir(roomFolder('updates'))).sort()).toEqual(accepted.map(({ digest }) => digest).sort())
    expect(await upload(room, 'one')).toEqual(accepted[0])
    store.close()
  })

  it('goes back to the acknowledged offset when the disk is full', async () => {
    let isFull = false
    const fileSystem = {
      ...nodeFileSystem,
      async append(path: string, bytes: Uint8Array) {
        if (!isFull) return nodeFileSystem.append(path, bytes)
        await nodeFileSystem.append(path, bytes.subarray(0, bytes.length / 2))
        throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
      },
    }
    const store = await open({ fileSystem })
    const room = await store.createRoom(manifest)
    const update = testUpdate(manifest, 'one')
    await room.begin(participantOf('one'), digestOf(update), update.byteLength, () => false)
    await room.append(participantOf('one'), update.slice(0, 500))
    isFull = true
    await expect(room.append(participantOf('one'), update.slice(500, 600))).rejects.toMatchObject({
      code: 'ENOSPC',
    })
    expect(room.openUpload(participantOf('one'))?.offset).toBe(500)
    isFull = false
    await room.append(participantOf('one'), update.slice(500))
    expect((await room.accept(participantOf('one'), inspect)).digest).toBe(digestOf(update))
    store.close()
  })

  it('keeps a bounded number of unfinished uploads; the longest idle one without a socket makes room', async () => {
    let nowMs = Date.now()
    const store = await open({ now: () => new Date(nowMs++) })
    const room = await store.createRoom(manifest)
    const begin = (seed: string, mayEvict: (participant: string) => boolean) =>
      room.begin(participantOf(seed), digestOfText(seed), 10, mayEvict)
    for (let k = 0; k < MAX_OPEN_UPLOADS; k++) await begin(`p${k}`, () => false)
    await expect(begin('late', () => false)).rejects.toMatchObject({ code: 'upload/too-many' })
    await begin('late', (participant) => participant !== participantOf('p0'))
    expect(room.openUpload(participantOf('p0'))).not.toBeNull()
    expect(room.openUpload(participantOf('p1'))).toBeNull()
    expect(await readdir(roomFolder('open'))).toHaveLength(MAX_OPEN_UPLOADS)
    store.close()
  })
})
