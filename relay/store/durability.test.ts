/**
 * A receipt is a promise: the order of the steps that make an update durable is asserted as it is, and the power is cut
 * before every single one of them.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, digestOf } from '../protocol/canonical.ts'
import type { Receipt } from '../protocol/messages.ts'
import { type TestFolder, temporaryFolder, testManifest, testUpdate } from '../server/testing/round.ts'
import { Ledger } from './ledger.ts'
import { RelayStore } from './relay-store.ts'
import type { RoomStore } from './room-store.ts'
import { PowerCut, VolatileFileSystem } from './testing/volatile-file-system.ts'

const manifest = testManifest()
const participant = 'a'.repeat(32)
const update = testUpdate(manifest, 'one')
const digest = digestOf(update)
const inspect = async (_: Digest, bytes: Uint8Array) => ({
  digest: digestOf(bytes),
  examples: 5,
  norm: 1,
  start: null,
})

/** Records its commits among the file operations. */
class RecordingLedger extends Ledger {
  readonly #files: VolatileFileSystem
  constructor(path: string, files: VolatileFileSystem) {
    super(path)
    this.#files = files
  }
  override accept(...args: Parameters<Ledger['accept']>): Receipt {
    this.#files.record('commit update')
    return super.accept(...args)
  }
  override addVersion(...args: Parameters<Ledger['addVersion']>): void {
    this.#files.record('commit version')
    super.addVersion(...args)
  }
}

describe('durability', () => {
  let folder: TestFolder
  beforeEach(async () => {
    folder = await temporaryFolder()
  })
  afterEach(() => folder[Symbol.asyncDispose]())

  const open = (files: VolatileFileSystem) =>
    RelayStore.open({
      directory: folder.path,
      fileSystem: files,
      ledger: (path) => new RecordingLedger(path, files),
    })
  const upload = async (room: RoomStore): Promise<Receipt> => {
    await room.begin(participant, digest, update.byteLength, () => false)
    for (let at = 0; at < update.byteLength; at += 512)
      await room.append(participant, update.slice(at, at + 512))
    return room.accept(participant, inspect)
  }
  const version = {
    'adapter_config.json': new Uint8Array([1]),
    'adapter_model.safetensors': new Uint8Array([2, 3]),
  }
  const publish = (room: RoomStore) => room.addVersion({ version: 1, digest }, [digest], version)

  it('accepts in this order: write, sync the file, rename, sync the folder, commit, receipt', async () => {
    const files = new VolatileFileSystem(folder.path)
    const store = await open(files)
    const room = await store.createRoom(manifest)
    files.operations.length = 0
    await upload(room)
    files.record('receipt')
    store.close()
    const partial = `open/${participant}.${digest}.${update.byteLength}`
    const chunks = Math.ceil(update.byteLength / 512)
    expect(files.operations).toEqual([
      `write ${partial}`,
      ...Array(chunks).fill(`append ${partial}`),
      `syncFile ${partial}`,
      `rename ${partial} updates/${digest}`,
      `syncDirectory ${manifest.room}/updates`,
      'commit update',
      'receipt',
    ])
  })

  it('publishes in this order: each file written and synced, their folder, its name, commit', async () => {
    const files = new VolatileFileSystem(folder.path)
    const store = await open(files)
    const room = await store.createRoom(manifest)
    await upload(room)
    files.operations.length = 0
    await publish(room)
    store.close()
    expect(files.operations).toEqual([
      'remove versions/1.unfinished',
      'makeDirectory versions/1.unfinished',
      ...['adapter_config.json', 'adapter_model.safetensors', 'version.json'].flatMap((name) => [
        `write 1.unfinished/${name}`,
        `syncFile 1.unfinished/${name}`,
      ]),
      'syncDirectory versions/1.unfinished',
      'remove versions/1',
      'rename versions/1.unfinished versions/1',
      `syncDirectory ${manifest.room}/versions`,
      'commit version',
    ])
  })

  it('loses nothing it gave a receipt for, wherever the power is cut', async () => {
    const rehearsal = new VolatileFileSystem(folder.path)
    const whole = await open(rehearsal)
    const room = await whole.createRoom(manifest)
    const firstStep = rehearsal.operations.length
    await upload(room)
    await publish(room)
    whole.close()
    const steps = rehearsal.operations.length
    const outcomes = { lostWithoutReceipt: 0, acceptedWithoutReceipt: 0, accepted: 0 }

    for (let cut = firstStep; cut <= steps; cut++) {
      await folder[Symbol.asyncDispose]()
      const files = new VolatileFileSystem(folder.path)
      const before = await open(files)
      const roomBefore = await before.createRoom(manifest)
      files.cutBefore = cut
      let receipt: Receipt | null = null
      try {
        receipt = await upload(roomBefore)
        await publish(roomBefore)
        expect(cut).toBe(steps)
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error
      }
      before.close()
      files.losePower()

      const after = await open(files)
      const roomAfter = after.restored[0]!.store
      const found = roomAfter.receipt(participant)
      if (receipt) expect(found, `cut before ${rehearsal.operations[cut]}`).toEqual(receipt)
      outcomes[receipt ? 'accepted' : found ? 'acceptedWithoutReceipt' : 'lostWithoutReceipt']++
      for (const accepted of roomAfter.updates()) {
        const bytes = await files.read(roomAfter.updatePath(accepted.digest))
        expect(digestOf(bytes), `cut before ${rehearsal.operations[cut]}`).toBe(accepted.digest)
      }
      expect(await files.list(`${folder.path}/rooms/${manifest.room}/updates`)).toEqual(found ? [digest] : [])
      expect(roomAfter.damagedVersions()).toEqual([])
      for (const { version: number, files: named } of roomAfter.versions()) {
        for (const { name, sha256 } of named) {
          expect(digestOf(await files.read(roomAfter.versionPath(number, name)))).toBe(sha256)
        }
      }
      // And the round goes on from whatever was left.
      if (!found) expect((await upload(roomAfter)).digest).toBe(digest)
      if (roomAfter.versions().length === 0) await publish(roomAfter)
      after.close()
    }
    expect(outcomes.lostWithoutReceipt).toBeGreaterThan(0)
    expect(outcomes.accepted).toBeGreaterThan(0)
  })

  it('would notice a missing sync', async () => {
    const lazy = (missing: 'syncFile' | 'syncDirectory') => {
      const files = new VolatileFileSystem(folder.path)
      files[missing] = async () => {}
      return files
    }
    for (const missing of ['syncFile', 'syncDirectory'] as const) {
      await folder[Symbol.asyncDispose]()
      const files = lazy(missing)
      const store = await open(files)
      const room = await store.createRoom(manifest)
      await upload(room)
      store.close()
      files.losePower()
      await expect(open(files)).rejects.toMatchObject({ code: 'store/damaged' })
    }
  })
})
