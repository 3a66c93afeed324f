/** However a merge is carried out (summed up as updates come, or shared out to threads), its bits are the same. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeUpdate } from '../../models/adapters/update-codec.ts'
import { digestOf } from '../protocol/canonical.ts'
import { type Manifest, manifestDigest } from '../protocol/manifest.ts'
import type { Strategy } from '../protocol/strategy.ts'
import { JobThread } from './job-thread.ts'
import { adapterShape } from './jobs.ts'
import { mergedInMemory } from './testing/merged-in-memory.ts'
import { type TestFolder, temporaryFolder, testChange, testManifest } from './testing/round.ts'
import type { StoredUpdate } from './update-file.ts'
import { type MergeHelper, mergePart, shareOut, VersionMerger } from './version-merger.ts'

let folder: TestFolder
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => folder[Symbol.asyncDispose]())

let files = 0
/** An update of the room's form. */
function updateOf(manifest: Manifest, seed: string, examples = 5): Uint8Array {
  const trained = ([name]: [string, Float32Array]) =>
    manifest.adapter.form !== 'ffa' || name.includes('lora_B')
  return encodeUpdate({
    change: new Map([...testChange(seed)].filter(trained)),
    shape: adapterShape(manifest),
    manifestDigest: manifestDigest(manifest),
    examples,
    encoding: 'i8',
    seed,
  })
}

/** Writes an update to a file of its own. */
function stored(manifest: Manifest, seed: string, examples = 5): StoredUpdate {
  const bytes = updateOf(manifest, seed, examples)
  mkdirSync(folder.path, { recursive: true })
  const at = path.join(folder.path, `${files++}`)
  writeFileSync(at, bytes)
  return { digest: digestOf(bytes), path: at }
}

/** What all updates in memory merge to. */
async function inMemory(manifest: Manifest, updates: readonly StoredUpdate[]) {
  return mergedInMemory(manifest, await Promise.all(updates.map((update) => readFile(update.path))))
}

const room = (strategy: Strategy): Manifest => {
  const manifest = testManifest()
  const form = strategy.id === 'ffa' ? { form: 'ffa' as const } : {}
  return { ...manifest, strategy, adapter: { ...manifest.adapter, ...form } }
}

/** Helpers in this thread, and how often they were asked. */
function helpers() {
  let asked = 0
  let closed = 0
  const start = (): MergeHelper => ({
    mergeModules: async (request, modules) => {
      asked++
      return mergePart(request, modules)
    },
    close: async () => {
      closed++
    },
  })
  return { start, count: () => ({ asked, closed }) }
}

const none = () => {
  throw new Error('no helper is needed here')
}

describe.each<Strategy>([{ id: 'fedit' }, { id: 'fedit', rank: 1, lambda: 1.5 }, { id: 'ffa' }])(
  'a linear strategy, %o',
  (strategy) => {
    it('is the same one by one, all at once, in another order and after a withdrawal', async () => {
      const manifest = room(strategy)
      const updates = ['one', 'two', 'three', 'four'].map((seed, i) => stored(manifest, seed, i + 1))
      const merger = new VersionMerger(none)
      for (let count = 1; count <= updates.length; count++) {
        const some = updates.slice(0, count)
        const merged = await merger.merge({ manifest, updates: some, start: null })
        expect(merged).toEqual(await inMemory(manifest, some))
        expect(
          await new VersionMerger(none).merge({ manifest, updates: [...some].reverse(), start: null }),
        ).toEqual(merged)
      }
      const [gone, ...rest] = updates as [StoredUpdate, ...StoredUpdate[]]
      await rm(gone.path)
      expect(await merger.merge({ manifest, updates: rest, start: null })).toEqual(
        await inMemory(manifest, rest),
      )
    })

    it('reads an update only once, and no other room’s sum is touched', async () => {
      const [one, other] = [room(strategy), { ...room(strategy), title: 'another room' }]
      const merger = new VersionMerger(none)
      const first = stored(one, 'one')
      await merger.merge({ manifest: one, updates: [first], start: null })
      await rm(first.path)
      const elsewhere = stored(other, 'two')
      expect(await merger.merge({ manifest: other, updates: [elsewhere], start: null })).toEqual(
        await inMemory(other, [elsewhere]),
      )
      const second = stored(one, 'two')
      const merged = await merger.merge({ manifest: one, updates: [first, second], start: null })
      writeFileSync(first.path, updateOf(one, 'one'))
      expect(merged).toEqual(await inMemory(one, [first, second]))
    })
  },
)

describe.each<Strategy>([
  { id: 'florist', tau: 0.999 },
  { id: 'stack', clip: 'median' },
  { id: 'ties', density: 0.3 },
  { id: 'rfa' },
  { id: 'fedit', clip: 0.1 },
])('a strategy that is computed anew, %o', (strategy) => {
  it('is the same in one thread and shared out to several', async () => {
    const manifest = room(strategy)
    const updates = ['one', 'two', 'three'].map((seed) => stored(manifest, seed))
    const expected = await inMemory(manifest, updates)
    expect(await new VersionMerger(none).merge({ manifest, updates, start: null })).toEqual(expected)
    for (const threads of [2, 5]) {
      const { start, count } = helpers()
      const merger = new VersionMerger(start, { threads, sharedOutNumbers: 1 })
      expect(await merger.merge({ manifest, updates, start: null })).toEqual(expected)
      const parts = Math.min(threads, manifest.adapter.modules.length) - 1
      expect(count()).toEqual({ asked: parts, closed: parts })
    }
  })
})

it('real threads give the same bits', async () => {
  const manifest = room({ id: 'florist', tau: 0.999 })
  const updates = ['one', 'two', 'three'].map((seed) => stored(manifest, seed))
  const merger = new VersionMerger(() => new JobThread(), { threads: 2, sharedOutNumbers: 1 })
  expect(await merger.merge({ manifest, updates, start: null })).toEqual(await inMemory(manifest, updates))
})

describe.each<Strategy>([{ id: 'florist', tau: 1 }, { id: 'fedit' }])(
  'bytes that changed, %o',
  (strategy) => {
    it('are refused as damaged, and the next merge is whole again', async () => {
      const manifest = room(strategy)
      const [good, bad] = [stored(manifest, 'good'), stored(manifest, 'bad')]
      const bytes = await readFile(bad.path)
      const flipped = Uint8Array.from(bytes)
      flipped[flipped.length - 1]! ^= 1
      writeFileSync(bad.path, flipped)
      const merger = new VersionMerger(none)
      const both = { manifest, updates: [good, bad], start: null }
      await expect(merger.merge(both)).rejects.toMatchObject({ code: 'store/damaged' })
      writeFileSync(bad.path, bytes.subarray(0, -1))
      await expect(merger.merge(both)).rejects.toMatchObject({ code: 'store/damaged' })
      writeFileSync(bad.path, bytes)
      expect(await merger.merge(both)).toEqual(await inMemory(manifest, [good, bad]))
    })
  },
)

it('what fails in another thread fails the merge', async () => {
  const manifest = room({ id: 'stack' })
  let closed = 0
  const merger = new VersionMerger(
    () => ({
      mergeModules: () => Promise.reject(new Error('out of memory')),
      close: async () => {
        closed++
      },
    }),
    { threads: 2, sharedOutNumbers: 1 },
  )
  const request = { manifest, updates: [stored(manifest, 'one')], start: null }
  await expect(merger.merge(request)).rejects.toThrow('out of memory')
  expect(closed).toBe(1)
})

it('modules are shared out once each, in parts of about the same cost', () => {
  const modules = Array.from({ length: 210 }, (_, i) => ({
    name: `m${i}`,
    inFeatures: i % 7 === 6 ? 1536 : 576,
    outFeatures: [576, 192, 192, 576, 1536, 1536, 576][i % 7]!,
  }))
  for (const parts of [1, 2, 3, 8]) {
    const shares = shareOut(modules, parts)
    expect(shares).toHaveLength(parts)
    expect(shares.flat().sort()).toEqual(modules.map(({ name }) => name).sort())
    const costs = shares.map((names) =>
      names.reduce((sum, name) => {
        const { inFeatures, outFeatures } = modules[Number(name.slice(1))]!
        return sum + inFeatures * outFeatures * Math.min(inFeatures, outFeatures)
      }, 0),
    )
    expect(Math.max(...costs) / Math.min(...costs)).toBeLessThan(1.05)
  }
  expect(shareOut(modules.slice(0, 1), 4)).toEqual([['m0']])
})
