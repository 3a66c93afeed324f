/** A private room from the first contribution to its one noisy publication, and through every way to spoil it. */
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readPeftAdapter } from '../../models/formats/peft.ts'
import { gaussianSigma } from '../aggregation/index.ts'
import { RelayClient } from '../client/client.ts'
import { readAuditLog } from '../protocol/audit.ts'
import { parseManifest } from '../protocol/manifest.ts'
import type { RoomStatus, Version } from '../protocol/messages.ts'
import { privacyFigures, privacyInWords } from '../protocol/privacy.ts'
import { Ledger } from '../store/ledger.ts'
import { verifyRoom } from '../store/verify-room.ts'
import { noiseStream } from './noise-stream.ts'
import { roomVerifier } from './room-verifier.ts'
import type { Relay } from './server.ts'
import {
  privateManifest,
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testUpdate,
} from './testing/round.ts'

const manifest = privateManifest()
const { room } = manifest

let folder: TestFolder
let relay: Relay
const clients: RelayClient[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
  relay = await startTestRelay(folder.path, { rooms: [manifest] })
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await relay.close()
  await folder[Symbol.asyncDispose]()
})

const inRoom = (...names: string[]) => join(folder.path, 'rooms', room, ...names)

async function send(seed: string): Promise<RelayClient> {
  const client = new RelayClient({ giveUpAfterMs: 5000 })
  clients.push(client)
  await client.join(relay.url, room)
  await client.upload(testUpdate(manifest, seed, null))
  return client
}

const ask = async <Answer>(path: string, method = 'GET') =>
  (await (
    await fetch(`${relay.url}/api/rooms/${room}/${path}`, {
      method,
      headers: { Authorization: `Bearer ${relay.hostToken}` },
    })
  ).json()) as Answer

const versions = async () => (await ask<{ versions: Version[] }>('versions')).versions
const verified = () => verifyRoom(inRoom(), roomVerifier(null))
const restart = async () => {
  await relay.close()
  relay = await startTestRelay(folder.path, { rooms: [] })
}
const events = async () =>
  readAuditLog(await readFile(inRoom('audit.jsonl'), 'utf8')).map(({ event }) => event)

describe('a private room', () => {
  it('publishes once, when it closes, and says what that is worth', async () => {
    for (const seed of ['a', 'b', 'c', 'd']) await send(seed)
    expect(await ask('publish', 'POST')).toMatchObject({ error: { code: 'host/at-close' } })
    expect(await versions()).toEqual([])
    const sigma = gaussianSigma({ epsilon: 8, delta: 1e-5 })
    const open = await ask<RoomStatus>('status')
    expect(open).toMatchObject({ contributions: 4, waiting: 4, versions: 0 })
    // 2 modules of 24 rows, rank 2
    expect(open.privacy).toEqual({
      epsilon: 8,
      delta: 1e-5,
      clip: 1,
      sigma,
      numbers: 96,
      noiseToClip: (sigma * Math.sqrt(96)) / 4,
      equalAt: 6,
    })

    await relay.closeRoom(room)

    expect(await versions()).toMatchObject([{ version: 1, contributions: 4 }])
    expect(await events()).toContainEqual(
      expect.objectContaining({ event: 'drawn', privacy: open.privacy, updates: expect.any(Array) }),
    )
    expect(await verified()).toMatchObject({ problems: [], versions: 1, updates: 4 })
  })

  it('publishes what its digest says, and noise of the size promised', async () => {
    for (const seed of ['a', 'b', 'c', 'd']) await send(seed)
    await relay.closeRoom(room)
    const name = inRoom('versions', '1', 'adapter_model.safetensors')
    const release = await readFile(name)
    const adapter = readPeftAdapter(await readFile(inRoom('versions', '1', 'adapter_config.json')), release)
    expect([...adapter.modules.values()].some(({ b }) => b.some((value) => Math.abs(value) > 0.2))).toBe(true)

    const stored = (await readdir(inRoom('updates'))).map((digest) => ({
      digest: digest as never,
      path: inRoom('updates', digest),
    }))
    const verifier = roomVerifier(null)
    const clean = await verifier.merge(manifest, stored, null)
    expect(await verifier.checkRelease(manifest, stored, clean.files)).toMatchObject({
      digest: clean.digest,
      isNoisy: false,
    })
    const weaker = parseManifest({ ...manifest, privacy: { ...manifest.privacy, epsilon: 4 } })
    const config = await readFile(inRoom('versions', '1', 'adapter_config.json'))
    const noisy = { 'adapter_config.json': config, 'adapter_model.safetensors': release }
    expect(await verifier.checkRelease(manifest, stored, noisy)).toMatchObject({ isNoisy: true })
    // Of a stricter promise it is too little.
    await expect(verifier.checkRelease(weaker, stored, noisy)).rejects.toMatchObject({
      code: 'update/wrong-manifest',
    })
  })

  it('lets everybody withdraw until the noise is drawn, and nobody afterwards', async () => {
    const first = await send('a')
    const second = await send('b')
    await send('c')
    if (first.state.phase !== 'sent' || second.state.phase !== 'sent') throw new Error('not sent')
    await first.withdraw(first.state)
    await relay.closeRoom(room)
    expect(await versions()).toMatchObject([{ version: 1, contributions: 2 }])
    await expect(second.withdraw(second.state)).rejects.toMatchObject({ code: 'withdraw/too-late' })
    const { digest } = second.state.receipt
    expect(await ask(`contributions/${digest}/remove`, 'POST')).toMatchObject({
      error: { code: 'withdraw/too-late' },
    })
    expect(await verified()).toMatchObject({ problems: [], withdrawn: 1 })
  })

  it('publishes nothing where nothing counts', async () => {
    await relay.closeRoom(room)
    expect(await versions()).toEqual([])
    expect(await events()).not.toContainEqual(expect.objectContaining({ event: 'drawn' }))
  })

  it('has no address for a single update', async () => {
    const client = await send('a')
    if (client.state.phase !== 'sent') throw new Error('not sent')
    const { digest } = client.state.receipt
    for (const path of [`updates/${digest}`, `contributions/${digest}`, `versions/1/${digest}`, digest]) {
      const response = await fetch(`${relay.url}/api/rooms/${room}/${path}`, {
        headers: { Authorization: `Bearer ${relay.hostToken}` },
      })
      expect(response.status, path).toBe(404)
    }
  })

  it('takes no example counts, which would weigh one more than another', async () => {
    const client = new RelayClient({ giveUpAfterMs: 5000 })
    clients.push(client)
    await client.join(relay.url, room)
    await expect(client.upload(testUpdate(manifest, 'x', 2))).rejects.toMatchObject({
      code: 'update/examples',
    })
  })
})

describe('a relay that dies between drawing noise and publishing', () => {
  /** As a crash leaves it: everything is on the disk but the publication. */
  const forgetPublication = async (noiseKey: string) => {
    await relay.close()
    const database = new Database(join(folder.path, 'relay.sqlite'))
    database.exec('DELETE FROM versions')
    database.prepare('UPDATE releases SET noise_key_hex = ?').run(noiseKey)
    database.exec(`DELETE FROM audit WHERE line LIKE '%"event":"published"%'`)
    database.close()
    await rm(inRoom('versions', '1'), { recursive: true, force: true })
  }

  it('publishes the very same release at its next start, and forgets the key', async () => {
    for (const seed of ['a', 'b', 'c']) await send(seed)
    const open = new Ledger(join(folder.path, 'relay.sqlite'))
    const draw = () =>
      open.drawRelease(
        room,
        (contributions) => privacyFigures({ ...manifest, privacy: manifest.privacy! }, 1, contributions),
        new Date().toISOString(),
      )
    const drawn = draw()
    expect(draw()).toEqual(drawn)
    open.close()

    await relay.closeRoom(room)
    const [first] = await versions()
    await forgetPublication(drawn!.noiseKey!)
    relay = await startTestRelay(folder.path, { rooms: [] })
    await expect
      .poll(versions, { timeout: 20_000 })
      .toMatchObject([{ version: 1, digest: first!.digest, files: first!.files }])

    await relay.close()
    const ledger = new Ledger(join(folder.path, 'relay.sqlite'))
    expect(ledger.release(room)).toEqual({ updates: drawn!.updates, noiseKey: null })
    ledger.close()
    relay = await startTestRelay(folder.path, { rooms: [] })
  })

  it('makes another release with another key', async () => {
    for (const seed of ['a', 'b', 'c']) await send(seed)
    await relay.closeRoom(room)
    const [first] = await versions()
    await forgetPublication('ab'.repeat(32))
    relay = await startTestRelay(folder.path, { rooms: [] })
    await expect.poll(versions, { timeout: 20_000 }).toHaveLength(1)
    expect((await versions())[0]!.digest).not.toBe(first!.digest)
  })

  it('does not draw again where the published file was lost', async () => {
    for (const seed of ['a', 'b', 'c']) await send(seed)
    await relay.closeRoom(room)
    await restart()
    const kept = join(folder.path, 'kept')
    const file = inRoom('versions', '1', 'adapter_model.safetensors')
    await copyFile(file, kept)
    const bytes = await readFile(file)
    bytes[bytes.length - 1]! ^= 1
    await relay.close()
    await writeFile(file, bytes)
    await expect(startTestRelay(folder.path, { rooms: [] })).rejects.toMatchObject({
      code: 'store/version-differs',
    })
    expect((await verified()).problems).not.toEqual([])
    await copyFile(kept, file)
    relay = await startTestRelay(folder.path, { rooms: [] })
    expect((await verified()).problems).toEqual([])
  })
})

describe('the noise stream', () => {
  it('gives the same bytes for the same key, in whatever pieces, and others for another', () => {
    const key = new Uint8Array(32).fill(7)
    const whole = new Uint8Array(1000)
    noiseStream(key)(whole)
    const pieces = new Uint8Array(1000)
    const stream = noiseStream(key)
    for (let at = 0; at < 1000; at += 37) stream(pieces.subarray(at, Math.min(1000, at + 37)))
    expect(pieces).toEqual(whole)
    const other = new Uint8Array(1000)
    noiseStream(new Uint8Array(32).fill(8))(other)
    expect(other).not.toEqual(whole)
  })

  it('begins with AES-256 of counter zero', () => {
    // AES-256 of the zero block under the zero key, a known answer.
    const block = new Uint8Array(16)
    noiseStream(new Uint8Array(32))(block)
    expect(Buffer.from(block).toString('hex')).toBe('dc95c078a2408989ad48a21492842087')
  })
})

describe('in words', () => {
  const withPrivacy = { ...manifest, privacy: manifest.privacy! }
  it.each([
    [0, /weak promise.*At 6 contributions/],
    [3, /2 times as long.*mostly noise/],
    [10, /59 % of.*much of what was learned will be lost/],
    [60, /9\.8 % of.*most of what was learned remains/],
  ] as const)('%i contributions', (contributions, words) => {
    expect(privacyInWords(privacyFigures(withPrivacy, 0.6, contributions))).toMatch(words)
  })
})
