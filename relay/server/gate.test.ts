/** A room with a quality gate: no version is published before the host has measured it, and none that is worse. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readPeftAdapter } from '../../models/formats/peft.ts'
import { RelayClient } from '../client/client.ts'
import type { Sent } from '../client/states.ts'
import { readAuditLog } from '../protocol/audit.ts'
import { digestOf } from '../protocol/canonical.ts'
import type { CandidateView, Measured, Overview } from '../protocol/host.ts'
import { parseManifest } from '../protocol/manifest.ts'
import type { RoomStatus, Version } from '../protocol/messages.ts'
import { verifyRoom } from '../store/verify-room.ts'
import { roomVerifier } from './room-verifier.ts'
import type { Relay, WaitingCandidate } from './server.ts'
import { mergedInMemory } from './testing/merged-in-memory.ts'
import {
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'

const manifest = parseManifest({ ...testManifest({ publishEvery: 2 }), gate: { tolerance: 0.01 } })
const { room } = manifest
const GOOD: Measured = { baseLoss: 3, loss: 3.009 }
const BAD: Measured = { baseLoss: 3, loss: 3.011 }
const SOON = { timeout: 20_000 }

let folder: TestFolder
let relay: Relay
const clients: RelayClient[] = []
const heard: WaitingCandidate[] = []

const start = (rooms = [manifest]) =>
  startTestRelay(folder.path, { rooms, onCandidate: (candidate) => heard.push(candidate) })

beforeEach(async () => {
  folder = await temporaryFolder()
  heard.length = 0
  relay = await start()
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await relay.close()
  await folder[Symbol.asyncDispose]()
})

async function send(seed: string): Promise<{ client: RelayClient; sent: Sent }> {
  const client = new RelayClient({ giveUpAfterMs: 5000 })
  clients.push(client)
  await client.join(relay.url, room)
  await client.upload(testUpdate(manifest, seed))
  return { client, sent: client.state as Sent }
}

const request = (path: string, body?: unknown, token = relay.hostToken) =>
  fetch(`${relay.url}/api/rooms/${room}/${path}`, {
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
const ask = async <Answer>(path: string, body?: unknown) =>
  (await (await request(path, body)).json()) as Answer
const versions = async () => (await ask<{ versions: Version[] }>('versions')).versions
const candidate = async () => (await ask<Overview>('overview')).candidate
const waiting = async (contributions: number): Promise<CandidateView> => {
  await expect.poll(candidate, SOON).toMatchObject({ contributions })
  return (await candidate())!
}
const mergeOf = (...seeds: string[]) =>
  mergedInMemory(
    manifest,
    seeds.map((seed) => testUpdate(manifest, seed)),
  ).digest
const events = async () =>
  readAuditLog(await readFile(join(folder.path, 'rooms', room, 'audit.jsonl'), 'utf8')).map(
    ({ event }) => event,
  )

describe('the gate', () => {
  it('publishes what the host found good enough, with its figures in the log', async () => {
    await send('a')
    await send('b')
    const { digest, state, files } = await waiting(2)
    expect([digest, state]).toEqual([mergeOf('a', 'b'), 'waiting'])
    expect(await versions()).toEqual([])
    expect(await ask<RoomStatus>('status')).toMatchObject({ waiting: 2, candidate: 'waiting' })
    // The host's program reads the folder, its console the files; nobody else does.
    expect(heard).toMatchObject([{ room, digest, contributions: 2 }])
    for (const { name, sha256 } of files) {
      const bytes = new Uint8Array(await (await request(`candidate/${name}`)).arrayBuffer())
      expect(digestOf(bytes)).toBe(sha256)
      expect(digestOf(await readFile(join(heard[0]!.folder, name)))).toBe(sha256)
      expect((await request(`candidate/${name}`, undefined, 'wrong')).status).toBe(401)
    }
    const [config, weights] = await Promise.all(
      files.map(({ name }) => readFile(join(heard[0]!.folder, name))),
    )
    expect(readPeftAdapter(config!, weights!).modules.size).toBe(2)

    expect(await ask(`candidate/${digest}/measured`, GOOD)).toMatchObject({ candidate: null })
    expect(await versions()).toMatchObject([{ version: 1, digest, contributions: 2 }])
    expect((await events()).at(-1)).toMatchObject({ event: 'published', measured: GOOD })
    expect((await request('candidate/adapter_config.json')).status).toBe(404)
    expect(await verifyRoom(join(folder.path, 'rooms', room), roomVerifier(null))).toMatchObject({
      problems: [],
      versions: 1,
    })
  })

  it('holds back what is worse than the base, also over a restart, until the host removes what spoils it', async () => {
    await send('a')
    const { sent } = await send('b')
    const { digest } = await waiting(2)
    expect(await relay.judge(room, digest as never, BAD)).toBe(false)
    expect(await candidate()).toMatchObject({ state: 'held', measured: BAD })
    expect(await ask<RoomStatus>('status')).toMatchObject({ candidate: 'held', versions: 0 })
    expect((await events()).at(-1)).toMatchObject({ event: 'held-back', digest, measured: BAD })

    await relay.close()
    relay = await start([])
    await expect.poll(candidate, SOON).toMatchObject({ digest, state: 'held', measured: BAD })

    await ask(`contributions/${sent.receipt.digest}/remove`, {})
    const next = await waiting(1)
    expect(next).toMatchObject({ digest: mergeOf('a'), state: 'waiting' })
    expect(await relay.judge(room, next.digest, GOOD)).toBe(true)
    expect(await versions()).toMatchObject([{ version: 1, digest: next.digest }])
  })

  it('lets the host publish what it held back', async () => {
    await send('a')
    await send('b')
    const { digest } = await waiting(2)
    await relay.judge(room, digest, BAD)
    await ask(`candidate/${digest}/publish`, {})
    expect(await versions()).toMatchObject([{ version: 1, digest }])
    expect((await events()).at(-1)).not.toHaveProperty('measured')
  })

  it('replaces a candidate by the next batch, and what a room had left at its close', async () => {
    await send('a')
    await send('b')
    const first = await waiting(2)
    await send('c')
    await send('d')
    const second = await waiting(4)
    expect(await ask(`candidate/${first.digest}/measured`, GOOD)).toMatchObject({
      error: { code: 'host/no-candidate' },
    })
    await relay.judge(room, second.digest, GOOD)
    await send('e')
    await relay.closeRoom(room)
    const last = await waiting(5)
    expect(last.digest).toBe(mergeOf('a', 'b', 'c', 'd', 'e'))
    await relay.judge(room, last.digest, GOOD)
    expect((await versions()).map(({ contributions }) => contributions)).toEqual([4, 5])
  })

  it('takes figures and nothing else', async () => {
    await send('a')
    await send('b')
    const { digest } = await waiting(2)
    for (const body of [
      {},
      { baseLoss: 3 },
      { ...GOOD, more: 1 },
      { baseLoss: -1, loss: 2 },
      [],
      'x',
      null,
    ]) {
      expect(await ask(`candidate/${digest}/measured`, body)).toMatchObject({
        error: { code: 'request/malformed' },
      })
    }
    expect((await request(`candidate/${digest}/measured`, GOOD, 'wrong')).status).toBe(401)
    expect(await versions()).toEqual([])
  })
})
