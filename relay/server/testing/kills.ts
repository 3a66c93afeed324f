/**
 * A relay that is killed again and again while participants send: SIGKILL at random moments (starting, recovering,
 * receiving, accepting, publishing), started again on the same folder and port. The participants are told nothing and
 * carry on by themselves. At the end everything that got a receipt is there, once, and the merged result is that of
 * exactly these updates.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { initialAdapter } from '../../../models/adapters/initial.ts'
import { RandomStream } from '../../../models/adapters/random.ts'
import { decodeUpdate } from '../../../models/adapters/update-codec.ts'
import { mergeUpdates } from '../../aggregation/index.ts'
import { RelayClient } from '../../client/client.ts'
import { type Digest, digestOf } from '../../protocol/canonical.ts'
import { manifestDigest } from '../../protocol/manifest.ts'
import type { Receipt, RoomStatus, Version } from '../../protocol/messages.ts'
import { RelayStore } from '../../store/relay-store.ts'
import { adapterShape } from '../jobs.ts'
import { temporaryFolder, testManifest, testUpdate } from './round.ts'
import { testSeed } from './seed.ts'
import { launchRelay, spawnRelay } from './spawn-relay.ts'

/** From so many kills on each kind of moment has been hit. */
const MANY = 30
const FEW_SENDERS = 4
const SENDERS = 8
/** The longest pause of a sender between two updates: about half the senders are then sending at any moment. */
const PAUSE_MS = 400
/** The relay is away for about half of the time: senders, which wait up to 5 s between attempts, may be unlucky often. */
const PATIENCE_MS = 300_000
/** Below the room's limit of 1,024: what is sent after it would be refused, and rightly. */
const MAX_UPDATES = 900

const manifest = testManifest()

/** Kills a relay so often, and expects at the end what it should be. */
export async function surviveKills(kills: number): Promise<void> {
  const seed = testSeed('kills')
  const random = (name: string) => {
    const stream = new RandomStream(String(seed), name)
    return () => stream.nextFloat()
  }
  await using folder = await temporaryFolder()

  /** What the senders know: every update sent, every receipt given, every version heard of. */
  const sent = new Map<Digest, Uint8Array>()
  const receipts: Receipt[] = []
  const heard = new Map<number, Version>()
  const sending = new Set<RelayClient>()
  let reloads = 0
  let lastReceiptMs = 0

  let relay = launchRelay(folder.path)
  const url = await relay.listening
  const port = Number(new URL(url).port)

  /** One participant's round; with `reloadAt`, as a tab that is reloaded after so many bytes. */
  const takePart = async (bytes: Uint8Array, reloadAt: number | null): Promise<void> => {
    let client = newClient()
    try {
      const { membership } = await client.join(url, manifest.room)
      sending.add(client)
      if (reloadAt !== null) {
        const reload = new AbortController()
        const onProgress = (sentBytes: number) => sentBytes >= reloadAt && reload.abort()
        await client.upload(bytes, { onProgress, signal: reload.signal }).catch((error: unknown) => {
          if (!reload.signal.aborted) throw error
        })
        reloads++
        sending.delete(client)
        client.close()
        client = newClient()
        await client.join(url, manifest.room, membership)
        sending.add(client)
      }
      const receipt = await client.upload(bytes)
      expect(receipt.digest).toBe(digestOf(bytes))
      receipts.push(receipt)
      lastReceiptMs = performance.now()
    } finally {
      sending.delete(client)
      client.close()
    }
  }
  const newClient = () => {
    const client = new RelayClient({ joinTimeoutMs: PATIENCE_MS, giveUpAfterMs: PATIENCE_MS })
    client.on('published', (version) => {
      const known = heard.get(version.version)
      if (known) expect(version, 'a version changed after it was published').toEqual(known)
      else heard.set(version.version, version)
    })
    return client
  }

  let isOver = false
  const sender = async (name: string) => {
    const draw = random(name)
    while (!isOver && sent.size < MAX_UPDATES) {
      await sleep(draw() * PAUSE_MS)
      const bytes = testUpdate(manifest, `${seed} ${name} ${sent.size}`, 1 + Math.floor(draw() * 1000))
      sent.set(digestOf(bytes), bytes)
      const reloadAt = draw() < 0.15 ? Math.floor(draw() * bytes.byteLength) : null
      // Now and then two participants send the very same update at the same time: it counts once.
      const isTwin = draw() < 0.15
      await Promise.all([takePart(bytes, reloadAt), isTwin && takePart(bytes, null)])
    }
  }
  const senders = Promise.all(
    Array.from({ length: kills < MANY ? FEW_SENDERS : SENDERS }, (_, k) => sender(`sender ${k}`)),
  )
  // A sender that fails must end the test at once, not after the last kill.
  let failure: { error: unknown } | undefined
  let isLoadOver = false
  senders
    .catch((error: unknown) => {
      failure = { error }
    })
    .finally(() => {
      isLoadOver = true
    })

  const draw = random('kills')
  const found = { whileStarting: 0, whileSending: 0, openUploads: 0, unfinishedVersions: 0 }
  for (let kill = 0; kill < kills; kill++) {
    if (failure) throw failure.error
    if (kill > 0) relay = launchRelay(folder.path, { port })
    if (kill % 5 === 4) {
      found.whileStarting++
      await sleep(draw() * 1000)
    } else {
      expect(await relay.listening).toBe(url)
      if (kill % 5 === 3) {
        // While the senders come back.
        await sleep(draw() * 600)
      } else {
        const listeningMs = performance.now()
        while (lastReceiptMs < listeningMs && !isLoadOver) await sleep(5)
        await sleep(draw() * 600)
        while (sending.size === 0 && !isLoadOver) await sleep(1)
      }
      if (sending.size > 0) found.whileSending++
    }
    await relay.kill()
    expect(relay.errors()).toBe('')
    const left = await roomFolders(folder.path)
    found.openUploads += left.open.length
    found.unfinishedVersions += left.versions.filter((name) => name.endsWith('.unfinished')).length
  }

  relay = launchRelay(folder.path, { port })
  await relay.listening
  isOver = true
  await senders
  const close = async (): Promise<RoomStatus> => {
    const answer = await fetch(`${url}/api/rooms/${manifest.room}/close`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${relay.hostToken}` },
    })
    expect(answer.status).toBe(200)
    return (await answer.json()) as RoomStatus
  }
  // The last kill: between closing the room and publishing the rest.
  const closing = close().catch(() => null)
  await sleep(draw() * 50)
  await relay.kill()
  await closing
  relay = await spawnRelay(folder.path, { port })
  const status = await close()
  const left = await roomFolders(folder.path)
  expect(relay.errors()).toBe('')
  await relay.kill()
  process.stdout.write(
    `kills: ${JSON.stringify({ ...found, updates: sent.size, receipts: receipts.length, reloads, versions: status.versions })}\n`,
  )

  const store = await RelayStore.open({ directory: folder.path })
  try {
    const room = store.restored[0]!.store
    const accepted = room.updates()
    const digests = accepted.map(({ digest }) => digest)
    // Every receipt ever given is there, word for word.
    for (const receipt of receipts) expect(room.receipt(receipt.participant)).toEqual(receipt)
    // Everything sent counts, and once.
    expect(digests.toSorted()).toEqual([...sent.keys()].toSorted())
    expect(accepted.map(({ contribution }) => contribution)).toEqual(digests.map((_, k) => k + 1))
    expect(status).toMatchObject({ contributions: sent.size, waiting: 0, closed: true })
    for (const [digest, bytes] of sent) {
      expect((await readFile(room.updatePath(digest))).equals(bytes)).toBe(true)
    }
    // Nothing else lies about.
    const versions = room.versions()
    expect(left.room).toEqual(['audit.jsonl', 'manifest.json', 'open', 'updates', 'versions'])
    expect(left.open).toEqual([])
    expect(left.updates).toEqual(digests.toSorted())
    expect(left.versions).toEqual(versions.map(({ version }) => String(version)).toSorted())
    // What was announced stayed, and each version is the merge of the updates sent up to then.
    for (const [k, version] of versions.entries()) expect(version.version).toBe(k + 1)
    const announced = versions.map(({ updates: _, ...version }) => version)
    for (const version of heard.values()) expect(announced).toContainEqual(version)
    const newest = versions.at(-1)!
    expect(newest.contributions).toBe(sent.size)
    const some = versions.filter((_, k) => k % Math.ceil(versions.length / 5) === 0)
    for (const version of [...some, newest]) {
      expect(version.digest, `version ${version.version}`).toBe(
        mergedDigestOf(version.updates.map((digest) => sent.get(digest)!)),
      )
    }
  } finally {
    store.close()
  }
  // The kills fell where they matter; the rarer places need many.
  expect(found.whileSending).toBeGreaterThan(0)
  expect(receipts.length).toBeGreaterThan(0)
  if (kills < MANY) return
  expect(found.whileSending).toBeGreaterThan(kills / 2)
  expect(found.openUploads).toBeGreaterThan(0)
  expect(reloads).toBeGreaterThan(0)
  expect(receipts.length).toBeGreaterThan(sent.size)
}

/** Names in the room's folder and in each of its folders, sorted. */
async function roomFolders(dataDir: string) {
  const names = async (...path: string[]) =>
    (await readdir(join(dataDir, 'rooms', manifest.room, ...path)).catch(() => [])).toSorted()
  return {
    room: await names(),
    open: await names('open'),
    updates: await names('updates'),
    versions: await names('versions'),
  }
}

/** Straight from the files the senders made; the order of arrival does not matter to it. */
function mergedDigestOf(updates: readonly Uint8Array[]): string {
  const shape = adapterShape(manifest)
  return mergeUpdates({
    strategy: manifest.strategy,
    initial: initialAdapter(shape, manifest.adapter.seed),
    manifestDigest: manifestDigest(manifest),
    updates: updates.map((bytes) => ({
      digest: digestOf(bytes),
      ...decodeUpdate(bytes, { shape, manifestDigest: manifestDigest(manifest) }),
    })),
  }).digest
}
