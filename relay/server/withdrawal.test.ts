/** What is taken out of a room is gone as if it had never come: by its sender, by the host, and over a restart. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RelayClient } from '../client/client.ts'
import type { Sent } from '../client/states.ts'
import { readAuditLog } from '../protocol/audit.ts'
import type { ErrorCode } from '../protocol/errors.ts'
import type { Overview, Preview } from '../protocol/host.ts'
import type { Manifest } from '../protocol/manifest.ts'
import type { Version } from '../protocol/messages.ts'
import { checkReceipt } from '../protocol/receipt.ts'
import { verifyRoom } from '../store/verify-room.ts'
import { roomVerifier } from './room-verifier.ts'
import { mergedInMemory } from './testing/merged-in-memory.ts'
import { OwnRelay } from './testing/own-relay.ts'
import { testManifest, testUpdate } from './testing/round.ts'

const own = OwnRelay.forEachTest()

const start = (manifest: Manifest) => own.start({ rooms: [manifest] })

const roomFolder = (...names: string[]) => join(own.folder, 'rooms', 'class-7b', ...names)

async function send(manifest: Manifest, seed: string): Promise<{ client: RelayClient; sent: Sent }> {
  const client = await own.joined(manifest)
  await client.upload(testUpdate(manifest, seed))
  return { client, sent: client.state as Sent }
}

async function ask<Answer>(path: string, body?: unknown, token = own.relay.hostToken): Promise<Answer> {
  const response = await fetch(`${own.relay.url}/api/rooms/class-7b/${path}`, {
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  return (await response.json()) as Answer
}

const codeOf = async (path: string, body?: unknown, token?: string) =>
  (await ask<{ error?: { code: ErrorCode } }>(path, body, token)).error?.code

const versions = async () => (await ask<{ versions: Version[] }>('versions')).versions

/** Once the room's newest version has this many contributions and is not retired. */
async function newestOf(contributions: number): Promise<Version> {
  for (;;) {
    const newest = (await versions()).at(-1)
    if (newest && !newest.retired && newest.contributions === contributions) return newest
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const verified = () => verifyRoom(roomFolder(), roomVerifier(null))

/** The digest of the version that a room has which got these updates and no others. */
function digestWithout(manifest: Manifest, seeds: readonly string[]): string {
  const updates = seeds.map((seed) => testUpdate(manifest, seed))
  return mergedInMemory(manifest, updates).digest
}

describe('withdrawal', () => {
  it('leaves the merged model as if it had never been sent, erases the files, keeps a tombstone', async () => {
    const manifest = testManifest({ publishEvery: 3 })
    await start(manifest)
    const { client, sent } = await send(manifest, 'one')
    const retired: number[] = []
    const other = await send(manifest, 'two')
    other.client.on('retired', ({ version }) => retired.push(version))
    await send(manifest, 'three')
    await newestOf(3)

    const withdrawn = await client.withdraw(sent)

    expect(withdrawn).toMatchObject({ phase: 'withdrawn', by: 'participant' })
    const newest = await newestOf(2)
    expect(newest.digest).toBe(digestWithout(manifest, ['two', 'three']))
    expect(await versions()).toMatchObject([{ version: 1, retired: true }, { version: 2 }])
    expect(
      (await fetch(`${own.relay.url}/api/rooms/class-7b/versions/1/adapter_model.safetensors`)).status,
    ).toBe(410)
    expect(await readdir(roomFolder('versions'))).toEqual(['2'])
    expect(await readdir(roomFolder('updates'))).not.toContain(sent.receipt.digest)
    await expect.poll(() => retired).toEqual([1])
    const log = readAuditLog(await (await fetch(`${own.relay.url}/api/rooms/class-7b/audit`)).text())
    expect(log.map(({ event }) => event.event)).toEqual([
      'created',
      'accepted',
      'accepted',
      'accepted',
      'published',
      'withdrawn',
      'retired',
      'published',
    ])
    expect(await verified()).toMatchObject({
      updates: 2,
      withdrawn: 1,
      versions: 1,
      retired: 1,
      problems: [],
    })
  })

  it('survives a restart, and the participant may send anew', async () => {
    const manifest = testManifest({ publishEvery: 2 })
    await start(manifest)
    const { client, sent } = await send(manifest, 'one')
    await send(manifest, 'two')
    await newestOf(2)
    await client.withdraw(sent)
    await newestOf(1)
    await own.relay.close()
    await start(manifest)
    expect(await ask<Overview>('overview')).toMatchObject({
      status: { contributions: 1, waiting: 0 },
      contributions: [{ contribution: 2, state: 'counts' }],
    })
    const again = await send(manifest, 'one')
    expect(again.sent.receipt.contribution).toBe(3)
    await own.relay.closeRoom(manifest.room)
    expect((await newestOf(2)).digest).toBe(digestWithout(manifest, ['one', 'two']))
    expect((await verified()).problems).toEqual([])
  })

  it('keeps an update that somebody else has sent too', async () => {
    const manifest = testManifest({ publishEvery: 1 })
    await start(manifest)
    const first = await send(manifest, 'same')
    const second = await send(manifest, 'same')
    const { digest } = first.sent.receipt
    await newestOf(1)
    await first.client.withdraw(first.sent)
    expect(await readdir(roomFolder('updates'))).toEqual([digest])
    expect(await versions()).toMatchObject([{ version: 1, contributions: 1 }])
    await second.client.withdraw(second.sent)
    expect(await readdir(roomFolder('updates'))).toEqual([])
    expect(await ask<Overview>('overview')).toMatchObject({ contributions: [], status: { waiting: 0 } })
    expect((await verified()).problems).toEqual([])
  })

  it('is not for somebody else', async () => {
    const manifest = testManifest()
    await start(manifest)
    const mine = await send(manifest, 'one')
    const other = await send(manifest, 'two')
    const stolen = { ...mine.sent, receipt: other.sent.receipt }
    await expect(mine.client.withdraw(stolen)).rejects.toMatchObject({ code: 'withdraw/unknown' })
    expect((await ask<Overview>('overview')).contributions).toHaveLength(2)
  })

  it('by the host is logged as such, and the participant is told, also when it was away', async () => {
    const manifest = testManifest({ publishEvery: 1 })
    await start(manifest)
    const { client, sent } = await send(manifest, 'one')
    const away = await send(manifest, 'two')
    const { participant, token } = away.sent.membership
    away.client.close()
    await ask(`contributions/${sent.receipt.digest}/remove`, {})
    await ask(`contributions/${away.sent.receipt.digest}/remove`, {})
    await expect.poll(() => client.state).toMatchObject({ phase: 'withdrawn', by: 'host' })
    const back = own.client()
    expect(await back.join(own.relay.url, manifest.room, { participant, token })).toMatchObject({
      phase: 'ready',
    })
    expect(await codeOf(`contributions/${sent.receipt.digest}/remove`, {})).toBe('host/unknown-contribution')
    const lines = readAuditLog(await readFile(roomFolder('audit.jsonl'), 'utf8'))
    expect(lines.filter(({ event }) => event.event === 'withdrawn').map(({ event }) => event)).toMatchObject([
      { by: 'host', erased: true },
      { by: 'host', erased: true },
    ])
  })
})

describe('verify', () => {
  it('notices any bit flipped in the log, the manifest, an update or a merged file', async () => {
    const manifest = testManifest({ publishEvery: 2 })
    await start(manifest)
    const { client, sent } = await send(manifest, 'one')
    await send(manifest, 'two')
    await newestOf(2)
    await client.withdraw(sent)
    await newestOf(1)
    await own.relay.close()
    expect((await verified()).problems).toEqual([])
    const paths = [roomFolder('audit.jsonl'), roomFolder('manifest.json')]
    for (const name of await readdir(roomFolder('updates'))) paths.push(roomFolder('updates', name))
    for (const name of await readdir(roomFolder('versions', '2')))
      paths.push(roomFolder('versions', '2', name))
    expect(paths.length).toBe(6)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.nat(), fc.nat(7), async (path, where, bit) => {
        const intact = await readFile(path)
        const flipped = Buffer.from(intact)
        flipped[where % flipped.length]! ^= 1 << bit
        await writeFile(path, flipped)
        try {
          // Without a manifest to go by there is nothing to check against.
          const problems = await verified().then(
            (found) => found.problems,
            (error: { code?: ErrorCode }) => (error.code === 'store/damaged' ? [error.code] : []),
          )
          expect(problems).not.toEqual([])
        } finally {
          await writeFile(path, intact)
        }
      }),
      { numRuns: 150 },
    )
    await start(manifest)
  })

  it('names what is missing, what is too much and a line left out', async () => {
    const manifest = testManifest({ publishEvery: 1 })
    await start(manifest)
    await send(manifest, 'one')
    await newestOf(1)
    await own.relay.close()
    const log = await readFile(roomFolder('audit.jsonl'), 'utf8')
    const lines = log.trimEnd().split('\n')
    await writeFile(roomFolder('audit.jsonl'), `${[lines[0], ...lines.slice(2)].join('\n')}\n`)
    expect((await verified()).problems[0]).toMatch(/^Line 2 of the audit log does not follow/)
    await writeFile(roomFolder('audit.jsonl'), `${lines[0]}\n`)
    expect((await verified()).problems).toHaveLength(2) // the update and the version that it does not tell of
    await writeFile(roomFolder('audit.jsonl'), log)
    await writeFile(roomFolder('updates', 'a'.repeat(64)), 'more')
    expect((await verified()).problems).toEqual([
      `There is a file among the updates that the log does not tell of: ${'a'.repeat(64)}.`,
    ])
    await start(manifest)
    // The relay writes the log anew from its ledger, and clears away what the ledger does not name.
    expect((await verified()).problems).toEqual([])
  })
})

describe('signed receipts', () => {
  it('are checked by the client, and no bit of one can change', async () => {
    await start(testManifest())
    const manifest = { ...testManifest(), room: 'signed', receiptKey: own.relay.receiptKey }
    await own.relay.createRoom(manifest)
    const { sent, client } = await send(manifest, 'one')
    expect(sent.receipt.signature).toMatch(/^[0-9a-f]{128}$/)
    checkReceipt(sent.receipt, manifest)
    const refused = expect.objectContaining({ code: 'receipt/signature' })
    const { signature: _, ...unsigned } = sent.receipt
    expect(() => checkReceipt(unsigned, manifest)).toThrow(refused)
    expect(() => checkReceipt({ ...sent.receipt, examples: 6 }, manifest)).toThrow(refused)
    expect(() => checkReceipt(sent.receipt, { ...manifest, receiptKey: '0'.repeat(64) })).toThrow(refused)
    const { participant, token } = sent.membership
    client.close()
    const back = own.client()
    expect(await back.join(own.relay.url, 'signed', { participant, token })).toMatchObject({
      receipt: sent.receipt,
    })
  })
})

describe('the host', () => {
  it('sees every participant, and nobody without the token does', async () => {
    const manifest = testManifest()
    await start(manifest)
    const { client, sent } = await send(manifest, 'one')
    await client.report({ stage: 'sent', tokensPerSecond: 12.5 })
    expect(await ask<Overview>('overview')).toMatchObject({
      participants: [
        {
          participant: sent.membership.participant,
          connected: true,
          progress: { stage: 'sent', tokensPerSecond: 12.5 },
          digest: sent.receipt.digest,
        },
      ],
      contributions: [{ contribution: 1, examples: 5, norm: expect.any(Number), state: 'counts' }],
    })
    for (const path of ['overview', `contributions/${sent.receipt.digest}/preview`]) {
      expect(await codeOf(path, undefined, 'wrong')).toBe('host/token')
    }
    for (const path of [
      'publish',
      'close-joining',
      'join-code',
      `contributions/${sent.receipt.digest}/remove`,
    ]) {
      expect(await codeOf(path, {}, 'wrong')).toBe('host/token')
    }
  })

  it('lets each contribution count, after a look at it', async () => {
    const manifest = { ...testManifest({ publishEvery: 1 }), admission: 'approve' as const }
    await start(manifest)
    const first = await send(manifest, 'one')
    const second = await send(manifest, 'two')
    const digests = [first, second].map(({ sent }) => sent.receipt.digest)
    expect(await ask<Overview>('overview')).toMatchObject({
      status: { undecided: 2, waiting: 0 },
      versions: [],
    })
    expect(await ask<Preview>(`contributions/${digests[0]}/preview`)).toMatchObject({
      medianNorm: null,
      cosine: null,
    })
    await ask(`contributions/${digests[0]}/approve`, {})
    await newestOf(1)
    const { norm, medianNorm, cosine } = await ask<Preview>(`contributions/${digests[1]}/preview`)
    expect(medianNorm).toBeGreaterThan(0)
    expect(norm).toBeGreaterThan(0)
    expect(Math.abs(cosine!)).toBeLessThan(0.5) // two random updates
    expect(await codeOf(`contributions/${digests[0]}/approve`, {})).toBe('host/not-waiting')
    await ask(`contributions/${digests[1]}/remove`, {})
    await own.relay.closeRoom(manifest.room)
    expect((await newestOf(1)).digest).toBe(digestWithout(manifest, ['one']))
    expect((await verified()).problems).toEqual([])
  })

  it('asks for a join code, ends joining, and publishes when it likes', async () => {
    const manifest = testManifest({ publishEvery: 5 })
    await start(manifest)
    const inside = await send(manifest, 'one')
    await ask('join-code', { code: '7KQ4-M2XT' })
    const newcomer = async (code?: string) => {
      const client = own.client()
      return client.join(own.relay.url, manifest.room, undefined, code)
    }
    await expect(newcomer()).rejects.toMatchObject({ code: 'join/code' })
    await expect(newcomer('7KQ4-M2XU')).rejects.toMatchObject({ code: 'join/code' })
    expect(await newcomer('7kq4m2xt')).toMatchObject({ phase: 'ready' })
    await ask('close-joining', {})
    await expect(newcomer('7KQ4-M2XT')).rejects.toMatchObject({ code: 'room/joining-closed' })
    const { participant, token } = inside.sent.membership
    const back = own.client()
    expect(await back.join(own.relay.url, manifest.room, { participant, token })).toMatchObject({
      phase: 'sent',
    })
    await ask('publish', {})
    expect(await newestOf(1)).toMatchObject({ version: 1 })
    expect(await codeOf('join-code', { code: '<>' })).toBe('request/malformed')
  })

  it('gives a room an end in time', async () => {
    await start(testManifest({ room: 'other' }))
    const manifest = {
      ...testManifest({ publishEvery: 5 }),
      expiresAt: new Date(Date.now() + 3000).toISOString(),
    }
    await own.relay.createRoom(manifest)
    await send(manifest, 'one')
    await newestOf(1) // published by the room's end, not by its fifth contribution
    const late = own.client()
    await expect(late.join(own.relay.url, manifest.room)).rejects.toMatchObject({ code: 'room/expired' })
  })
})
