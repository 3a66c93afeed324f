/** Rooms that go on from what they published: rounds with quorum and deadline, and each from the newest. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readContinuation } from '../../models/adapters/continuation.ts'
import { startOf } from '../../models/adapters/initial.ts'
import { decodeUpdate } from '../../models/adapters/update-codec.ts'
import { mergeRound, type RoundOrigin } from '../aggregation/index.ts'
import { RelayClient } from '../client/client.ts'
import type { Sent } from '../client/states.ts'
import { readAuditLog } from '../protocol/audit.ts'
import { digestOf } from '../protocol/canonical.ts'
import { type Manifest, manifestDigest, parseManifest, type SteppedMode } from '../protocol/manifest.ts'
import type { RoomStatus, Version } from '../protocol/messages.ts'
import { Ledger } from '../store/ledger.ts'
import { verifyRoom } from '../store/verify-room.ts'
import { adapterShape } from './jobs.ts'
import { roomVerifier } from './room-verifier.ts'
import { decide } from './rounds.ts'
import type { Relay } from './server.ts'
import {
  roundsManifest,
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'

const rounds = (changes: Partial<SteppedMode & { kind: 'rounds' }> = {}): SteppedMode => ({
  kind: 'rounds',
  rounds: 3,
  quorum: 2,
  deadlineSeconds: 600,
  late: 'next',
  ...changes,
})

let folder: TestFolder
let relay: Relay
const clients: RelayClient[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await relay.close()
  await folder[Symbol.asyncDispose]()
})

const open = async (manifest: Manifest) => {
  relay = await startTestRelay(folder.path, { rooms: [manifest] })
}
const inRoom = (...names: string[]) => join(folder.path, 'rooms', 'class-7b', ...names)
const ask = async <Answer>(path: string, method = 'GET') =>
  (await (
    await fetch(`${relay.url}/api/rooms/class-7b/${path}`, {
      method,
      headers: { Authorization: `Bearer ${relay.hostToken}` },
    })
  ).json()) as Answer
const versions = async () => (await ask<{ versions: Version[] }>('versions')).versions
const status = () => ask<RoomStatus>('status')
const SOON = { timeout: 20_000 }

async function joined(manifest: Manifest): Promise<RelayClient> {
  const client = new RelayClient({ giveUpAfterMs: 10_000 })
  clients.push(client)
  await client.join(relay.url, manifest.room)
  return client
}

/** Takes part in the round that is open, from its start. */
async function contribute(client: RelayClient, manifest: Manifest, seed: string): Promise<Sent> {
  const { version } = await client.roundStart()
  await client.upload(testUpdate(manifest, seed, 5, version?.digest ?? null))
  return client.state as Sent
}

const verified = () => verifyRoom(inRoom(), roomVerifier(null))

describe('rounds', () => {
  it('go on from each other to the last, which closes the room; each is the merge of its own updates', async () => {
    const manifest = roundsManifest(rounds())
    await open(manifest)
    const both = [await joined(manifest), await joined(manifest)]
    const sent: Uint8Array[][] = []
    for (let round = 1; round <= 3; round++) {
      const starts = await Promise.all(both.map((client) => client.roundStart()))
      expect(starts.map((start) => [start.round, start.version?.version ?? 0])).toEqual([
        [round, round - 1],
        [round, round - 1],
      ])
      const updates = both.map((_, k) =>
        testUpdate(manifest, `${round} ${k}`, 5 + k, starts[0]!.version?.digest),
      )
      const receipts = await Promise.all(both.map((client, k) => client.upload(updates[k]!)))
      expect(receipts.map((receipt) => receipt.round)).toEqual([round, round])
      sent.push(updates)
      const next = await Promise.all(both.map((client) => client.nextRound(client.state as Sent)))
      expect(next.map((state) => state?.phase)).toEqual(
        round < 3 ? ['ready', 'ready'] : [undefined, undefined],
      )
    }

    await expect.poll(versions, SOON).toHaveLength(3)
    expect(await status()).toMatchObject({
      closed: true,
      contributions: 6,
      waiting: 0,
      round: { round: 3, rounds: 3, start: 2 },
    })
    const shape = adapterShape(manifest)
    const initial = startOf(shape, manifest.adapter.seed, null)
    let origin: RoundOrigin | null = null
    for (const [index, version] of (await versions()).entries()) {
      const updates = sent[index]!.map((bytes) => ({
        digest: digestOf(bytes),
        ...decodeUpdate(bytes, { shape }),
      }))
      const { strategy } = manifest
      const merged = mergeRound({
        strategy,
        initial,
        form: 'lora',
        origin,
        updates: updates.reverse(),
        manifestDigest: manifestDigest(manifest),
      })
      expect(version).toMatchObject({ digest: merged.digest, contributions: 2 })
      const bytes = await readFile(inRoom('versions', String(version.version), 'start.safetensors'))
      expect(readContinuation(bytes, initial, 'lora')).toEqual(merged.start)
      origin = { digest: merged.digest, bytes }
    }
    expect(await verified()).toMatchObject({ problems: [], versions: 3, updates: 6 })
  })

  it('are held up by nobody: at the deadline fewer are enough, also over a restart of the relay', async () => {
    const manifest = roundsManifest(rounds({ rounds: 2, quorum: 5, deadlineSeconds: 2 }))
    await open(manifest)
    const present = await joined(manifest)
    await joined(manifest) // and is never heard of again
    await contribute(present, manifest, 'a')
    expect((await status()).round).toMatchObject({ round: 1, received: 1, deadline: expect.any(String) })
    for (const client of clients.splice(0)) client.close()
    await relay.close()
    relay = await startTestRelay(folder.path, { rooms: [] })
    await expect.poll(versions, SOON).toMatchObject([{ version: 1, contributions: 1 }])
    // Nobody is there: the second round waits without a deadline, until somebody comes.
    expect((await status()).round).toMatchObject({ round: 2, received: 0, deadline: null })
    await contribute(await joined(manifest), manifest, 'b')
    await expect.poll(versions, SOON).toMatchObject([{ version: 1 }, { version: 2, contributions: 1 }])
    expect(await verified()).toMatchObject({ problems: [] })
  })

  it.each(['next', 'refuse'] as const)('late updates: %s', async (late) => {
    const manifest = roundsManifest(rounds({ late, rounds: 2 }))
    await open(manifest)
    const slow = await joined(manifest)
    await slow.roundStart()
    const fast = [await joined(manifest), await joined(manifest)]
    for (const [k, client] of fast.entries()) await contribute(client, manifest, `fast ${k}`)
    await expect.poll(versions, SOON).toHaveLength(1)

    const upload = slow.upload(testUpdate(manifest, 'slow'))

    if (late === 'refuse') {
      await expect(upload).rejects.toMatchObject({ code: 'update/late' })
      // The file follows the ledger.
      const last = async () => readAuditLog(await readFile(inRoom('audit.jsonl'), 'utf8')).at(-1)!.event
      await expect.poll(last, SOON).toMatchObject({ event: 'refused', code: 'update/late' })
      expect(await readdir(inRoom('updates'))).toHaveLength(2)
    } else {
      expect(await upload).toMatchObject({ round: 2 })
      expect((await status()).round).toMatchObject({ round: 2, received: 1 })
      await contribute(fast[0]!, manifest, 'second').catch(() => {})
      const ready = await fast[0]!.nextRound(fast[0]!.state as Sent)
      expect(ready?.phase).toBe('ready')
      await contribute(fast[0]!, manifest, 'second')
      await expect.poll(versions, SOON).toHaveLength(2)
      expect(await verified()).toMatchObject({ problems: [], versions: 2 })
    }
  })

  it('let an update be taken back while its round is open, and not once others build on it', async () => {
    const manifest = roundsManifest(rounds())
    await open(manifest)
    const [first, second, third] = [await joined(manifest), await joined(manifest), await joined(manifest)]
    await first.withdraw(await contribute(first, manifest, 'gone'))
    const kept = await contribute(second, manifest, 'kept')
    await contribute(third, manifest, 'also kept')
    await expect.poll(versions, SOON).toMatchObject([{ version: 1, contributions: 2 }])
    await expect(second.withdraw(kept)).rejects.toMatchObject({ code: 'withdraw/too-late' })
    expect(await ask(`contributions/${kept.receipt.digest}/remove`, 'POST')).toMatchObject({
      error: { code: 'withdraw/too-late' },
    })
    expect(await verified()).toMatchObject({ problems: [], withdrawn: 1 })
  })

  it('give the same receipt again where the answer was lost as the round closed', async () => {
    const manifest = roundsManifest(rounds({ quorum: 1 }))
    await open(manifest)
    const client = await joined(manifest)
    const update = testUpdate(manifest, 'a')
    const receipt = await client.upload(update)
    await expect.poll(async () => (await status()).round?.round, SOON).toBe(2)
    client.close()
    const again = new RelayClient({ giveUpAfterMs: 5000 })
    clients.push(again)
    await again.join(relay.url, manifest.room, client.membership)
    expect(again.state.phase).toBe('ready')
    expect(await again.upload(update)).toEqual(receipt)
  })

  it('publish at the next start what was closed when the relay died', async () => {
    const manifest = roundsManifest(rounds())
    await open(manifest)
    await contribute(await joined(manifest), manifest, 'a')
    await relay.close()
    const ledger = new Ledger(join(folder.path, 'relay.sqlite'))
    expect(ledger.closeRound(manifest.room, 1, false, new Date().toISOString())).toBe(true)
    expect(ledger.closeRound(manifest.room, 1, false, new Date().toISOString())).toBe(false)
    ledger.close()
    relay = await startTestRelay(folder.path, { rooms: [] })
    await expect.poll(versions, SOON).toMatchObject([{ version: 1, contributions: 1 }])
    expect((await status()).round).toMatchObject({ round: 2, start: 1 })
    expect(await verified()).toMatchObject({ problems: [] })
  })

  it('end early when the host publishes, and with what they have when the host closes the room', async () => {
    const manifest = roundsManifest(rounds({ quorum: 9 }))
    await open(manifest)
    const client = await joined(manifest)
    await contribute(client, manifest, 'a')
    await ask('publish', 'POST')
    await client.nextRound(client.state as Sent)
    await contribute(client, manifest, 'b')
    await relay.closeRoom(manifest.room)
    expect(await versions()).toMatchObject([
      { version: 1, contributions: 1 },
      { version: 2, contributions: 1 },
    ])
    expect(await status()).toMatchObject({ closed: true, waiting: 0 })
    expect(await verified()).toMatchObject({ problems: [] })
  })

  it('refuse an update from a version that there is not, and one that names a version in a room without rounds', async () => {
    const manifest = roundsManifest(rounds())
    await open(manifest)
    const client = await joined(manifest)
    await expect(client.upload(testUpdate(manifest, 'a', 5, 'ab'.repeat(32)))).rejects.toMatchObject({
      code: 'update/unknown-start',
    })
    const plain = testManifest({ room: 'plain', updateBytes: 10_000 })
    await relay.createRoom(plain)
    const other = await joined(plain)
    await expect(other.upload(testUpdate(plain, 'a', 5, 'ab'.repeat(32)))).rejects.toMatchObject({
      code: 'update/unknown-start',
    })
  })
})

describe('each from the newest', () => {
  it('makes every contribution a version on top of the newest, also one that was trained on an older', async () => {
    const manifest = roundsManifest({ kind: 'sequential' })
    await open(manifest)
    const [first, second, slow] = [await joined(manifest), await joined(manifest), await joined(manifest)]
    const old = await slow.roundStart()
    await contribute(first, manifest, 'a')
    await expect.poll(versions, SOON).toHaveLength(1)
    expect(await first.nextRound(first.state as Sent)).toBeNull()
    await expect.poll(async () => (await second.roundStart()).version?.version, SOON).toBe(1)
    await contribute(second, manifest, 'b')
    await slow.upload(testUpdate(manifest, 'c', 5, old.version?.digest ?? null))
    await expect.poll(versions, SOON).toHaveLength(3)
    await relay.closeRoom(manifest.room)

    const shape = adapterShape(manifest)
    const initial = startOf(shape, manifest.adapter.seed, null)
    const [last] = (await versions()).slice(-1)
    const bytes = await readFile(inRoom('versions', String(last!.version), 'start.safetensors'))
    const end = readContinuation(bytes, initial, 'lora')
    for (const [name, module] of end.modules) {
      const changes = ['a', 'b', 'c'].map(
        (seed) => decodeUpdate(testUpdate(manifest, seed), { shape }).change,
      )
      const tensor = `${name}.lora_B.weight`
      for (const [i, value] of module.b.entries()) {
        expect(value).toBeCloseTo(
          changes.reduce((sum, change) => sum + change.get(tensor)![i]!, 0),
          5,
        )
      }
    }
    expect(await verified()).toMatchObject({ problems: [], versions: 3 })
  })
})

describe('when a round is over', () => {
  const mode = rounds({ quorum: 3, deadlineSeconds: 60 })
  const now = new Date('2026-11-25T12:00:00.000Z')
  const ago = (seconds: number) => new Date(now.getTime() - 1000 * seconds).toISOString()
  it.each([
    ['at its quorum', { clockFrom: ago(1) }, 3, true, { act: 'close' }],
    ['not before', { clockFrom: ago(20) }, 2, true, { act: 'wait', forMs: 40_000 }],
    ['at its deadline with fewer', { clockFrom: ago(60) }, 1, false, { act: 'close' }],
    [
      'not with none: the clock starts again',
      { clockFrom: ago(61) },
      0,
      true,
      { act: 'restart-clock', from: now },
    ],
    [
      'nor with nobody there: it waits',
      { clockFrom: ago(61) },
      0,
      false,
      { act: 'restart-clock', from: null },
    ],
    ['its clock waits for somebody', { clockFrom: null }, 0, false, { act: 'wait', forMs: null }],
    ['and starts with them', { clockFrom: null }, 0, true, { act: 'restart-clock', from: now }],
  ] as const)('%s', (_, round, received, isSomebodyThere, decision) => {
    expect(decide(mode, round, { received, isSomebodyThere, now })).toEqual(decision)
  })

  it('never waits for ever once something came, and never closes with nothing', () => {
    fc.assert(
      fc.property(
        fc.option(fc.integer({ min: 0, max: 1000 }), { nil: null }),
        fc.nat(5),
        fc.boolean(),
        (secondsAgo, received, isSomebodyThere) => {
          const round = { clockFrom: secondsAgo === null ? null : ago(secondsAgo) }
          const decision = decide(mode, round, { received, isSomebodyThere, now })
          if (decision.act === 'close') expect(received).toBeGreaterThan(0)
          if (received > 0) expect(decision).not.toEqual({ act: 'wait', forMs: null })
        },
      ),
    )
  })
})

describe('the manifest', () => {
  const manifest = roundsManifest(rounds())
  it.each([
    ['publishEvery other than the quorum', { publishEvery: 3 }],
    ['a host who approves', { admission: 'approve' }],
    ['a scale', { strategy: { id: 'fedit', lambda: 2 } }],
    ['a rank beyond the adapter’s', { strategy: { id: 'florist', tau: 0.9, rank: 3 } }],
    ['no rank', { strategy: { id: 'florist', tau: 0.9 } }],
    ['more contributions than fit', { mode: rounds({ rounds: 100, quorum: 11 }), publishEvery: 11 }],
    ['privacy', { privacy: { epsilon: 1, delta: 1e-5, clip: 1 } }],
  ])('refuses rounds with %s', (_, changes) => {
    expect(() => parseManifest({ ...manifest, ...changes })).toThrow(
      expect.objectContaining({ code: 'manifest/malformed' }),
    )
  })
  it('takes an exact mean that fits the rank', () => {
    const strategy = { id: 'florist', tau: 0.9, rank: 2 }
    expect(parseManifest({ ...manifest, strategy })).toMatchObject({ strategy })
  })
})
