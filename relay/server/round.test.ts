import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { initialAdapter } from '../../models/adapters/initial.ts'
import { decodeUpdate } from '../../models/adapters/update-codec.ts'
import { mergeUpdates } from '../aggregation/index.ts'
import { RelayClient } from '../client/client.ts'
import type { Membership } from '../client/states.ts'
import type { WireMessage } from '../client/wire-log.ts'
import { digestOf } from '../protocol/canonical.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import type { Version } from '../protocol/messages.ts'
import { adapterShape } from './jobs.ts'
import type { Relay } from './server.ts'
import { startProxy } from './testing/proxy.ts'
import {
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'

const resumeOf = ({ participant, token }: Membership) => ({ participant, token })

describe('a participant and a relay over a real socket', () => {
  const manifest = testManifest()
  let folder: TestFolder
  let relay: Relay

  beforeEach(async () => {
    folder = await temporaryFolder()
    relay = await startTestRelay(folder.path)
  })
  const clients: RelayClient[] = []
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    await relay.close()
    await folder[Symbol.asyncDispose]()
  })
  const newClient = (options?: ConstructorParameters<typeof RelayClient>[0]) => {
    const client = new RelayClient({ giveUpAfterMs: 5000, ...options })
    clients.push(client)
    return client
  }

  it('joins, sends in chunks, gets a receipt', async () => {
    const client = newClient()
    const ready = await client.join(relay.url, manifest.room)
    expect(ready.phase).toBe('ready')
    expect(ready.membership.manifest).toEqual(manifest)
    const update = testUpdate(manifest, 'one')
    const progress: number[] = []
    const reviewing = client.review(
      client.startTraining(client.state as typeof ready & { phase: 'ready' }),
      update,
    )
    const sent = await client.send(reviewing, { onProgress: (sentBytes) => progress.push(sentBytes) })
    expect(sent.receipt).toMatchObject({
      room: manifest.room,
      digest: digestOf(update),
      bytes: update.byteLength,
      examples: 5,
      contribution: 1,
    })
    expect(progress).toEqual(
      [...Array(Math.ceil(update.byteLength / 256)).keys()].map((k) => k * 256).concat(update.byteLength),
    )
  })

  it('hears of the merged version after the third update and downloads it', async () => {
    const watcher = newClient()
    await watcher.join(relay.url, manifest.room)
    const published = new Promise<Version>((resolve) => watcher.on('published', resolve))
    for (const seed of ['one', 'two', 'three']) {
      const client = newClient()
      await client.join(relay.url, manifest.room)
      await client.upload(testUpdate(manifest, seed))
      client.close()
    }
    const version = await published
    expect(version).toMatchObject({ version: 1, contributions: 3 })
    const files = await watcher.download(version)
    expect([...files.keys()]).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    const late = newClient()
    await late.join(relay.url, manifest.room)
    expect(late.versions).toEqual([version])
  }, 20_000)

  it('continues a dropped upload where it stopped, and survives a lost receipt', async () => {
    const network = await startProxy(relay.url)
    const update = testUpdate(manifest, 'one')
    const frames: string[] = []
    const client = newClient({
      onWire({ direction, name }) {
        if (direction === 'out') frames.push(name)
        // The relay has the commit, or is about to, and its answer never arrives.
        if (name === 'commit' && frames.filter((frame) => frame === 'commit').length === 1)
          setTimeout(network.cut, 5)
      },
    })
    const { membership } = await client.join(network.url, manifest.room)
    const offsets: number[] = []
    const receipt = await client.upload(update, {
      onProgress(sentBytes) {
        offsets.push(sentBytes)
        if (offsets.length === 3) network.cut()
      },
    })
    expect(receipt).toMatchObject({ digest: digestOf(update), contribution: 1 })
    expect(frames.filter((name) => name === 'join').length).toBeGreaterThanOrEqual(3)
    // Never back to the beginning: the relay says how far it had come.
    expect(offsets.slice(0, 3)).toEqual([0, 256, 512])
    expect(Math.min(...offsets.slice(3))).toBeGreaterThanOrEqual(512)
    const state = client.state
    client.close()
    const back = newClient()
    expect(await back.join(relay.url, manifest.room, resumeOf(membership))).toEqual(state)
    expect(await back.upload(update)).toEqual(receipt)
    await expect(back.upload(testUpdate(manifest, 'two'))).rejects.toMatchObject({ code: 'upload/second' })
    await network.close()
  }, 20_000)

  it('continues after the relay was restarted in the middle', async () => {
    const update = testUpdate(manifest, 'one')
    const client = newClient({ giveUpAfterMs: 20_000 })
    await client.join(relay.url, manifest.room)
    const { port } = relay
    const offsets: number[] = []
    let restarted: Promise<void> | undefined
    const restart = async () => {
      await relay.close()
      relay = await startTestRelay(folder.path, { port, rooms: [] })
    }
    await client.upload(update, {
      onProgress(sentBytes) {
        offsets.push(sentBytes)
        if (sentBytes >= 512) restarted ??= restart()
      },
    })
    await restarted
    expect(Math.min(...offsets.slice(offsets.indexOf(512)))).toBeGreaterThanOrEqual(512)
    expect(client.state.phase).toBe('sent')
    const status = await (await fetch(`${relay.url}/api/rooms/${manifest.room}/status`)).json()
    expect(status).toMatchObject({ contributions: 1, waiting: 1 })
  }, 30_000)

  it('gives up with the update still in hand, and sends it when asked again', async () => {
    const client = newClient({ giveUpAfterMs: 300 })
    const ready = await client.join(relay.url, manifest.room)
    if (ready.phase !== 'ready') throw new Error('expected a new participant')
    const { port } = relay
    await relay.close()
    const reviewing = client.review(ready, testUpdate(manifest, 'one'))
    await expect(client.send(reviewing)).rejects.toMatchObject({ code: 'network/unreachable' })
    const failed = client.state
    if (failed.phase !== 'sending-failed') throw new Error(`unexpected state ${failed.phase}`)
    relay = await startTestRelay(folder.path, { port })
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect((await client.send(failed)).phase).toBe('sent')
    expect(() => client.startAgain(failed)).toThrow(expect.objectContaining({ code: 'client/stale' }))
  }, 20_000)

  it('stops sending when told to', async () => {
    const client = newClient()
    await client.join(relay.url, manifest.room)
    const stop = new AbortController()
    const sending = client.upload(testUpdate(manifest, 'one'), {
      signal: stop.signal,
      onProgress: (sentBytes) => sentBytes > 0 && stop.abort(),
    })
    await expect(sending).rejects.toMatchObject({ code: 'client/aborted' })
    expect(client.state.phase).toBe('sending-failed')
    const status = await (await fetch(`${relay.url}/api/rooms/${manifest.room}/status`)).json()
    expect(status).toMatchObject({ contributions: 0 })
  })

  it('hands a participant over to its newest connection', async () => {
    const first = newClient()
    const { membership } = await first.join(relay.url, manifest.room)
    const ended = new Promise((resolve) =>
      first.on('state', (state) => state.phase === 'failed' && resolve(state.error.code)),
    )
    const second = newClient()
    await second.join(relay.url, manifest.room, resumeOf(membership))
    expect(await ended).toBe('join/replaced')
    expect((await second.upload(testUpdate(manifest, 'one'))).contribution).toBe(1)
  })

  it('publishes the rest when the host closes the room, and then lets nobody new in', async () => {
    const client = newClient()
    const { membership } = await client.join(relay.url, manifest.room)
    const other = newClient()
    await other.join(relay.url, manifest.room)
    await client.upload(testUpdate(manifest, 'one'))
    expect(other.versions).toEqual([])
    await relay.closeRoom(manifest.room)
    await expect.poll(() => other.versions).toMatchObject([{ version: 1, contributions: 1 }])
    await expect.poll(() => other.status?.closed).toBe(true)
    await expect(other.upload(testUpdate(manifest, 'two'))).rejects.toMatchObject({ code: 'room/closed' })
    await expect(newClient().join(relay.url, manifest.room)).rejects.toMatchObject({ code: 'room/closed' })
    client.close()
    const back = await newClient().join(relay.url, manifest.room, resumeOf(membership))
    expect(back.phase).toBe('sent')
    await relay.closeRoom(manifest.room)
    expect(other.versions).toHaveLength(1)
  }, 20_000)

  it('merges the same whatever the order of arrival, as anyone can compute from the updates', async () => {
    const seeds = ['one', 'two', 'three']
    const orders = [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0],
    ]
    const digests: string[] = []
    for (const order of orders) {
      await using own = await temporaryFolder()
      const ofOrder = await startTestRelay(own.path, { rooms: [manifest] })
      const clients: RelayClient[] = []
      for (const seed of order) {
        const client = newClient()
        clients.push(client)
        await client.join(ofOrder.url, manifest.room)
        await client.upload(testUpdate(manifest, seeds[seed]!, 3 + seed))
      }
      await expect.poll(() => clients[0]!.versions, { timeout: 10_000 }).toHaveLength(1)
      const [version] = clients[0]!.versions
      digests.push(version!.digest)
      const config = await clients[0]!.download(version!)
      expect(config.size).toBe(2)
      await ofOrder.close()
    }
    const shape = adapterShape(manifest)
    const { digest } = mergeUpdates({
      strategy: manifest.strategy,
      initial: initialAdapter(shape, manifest.adapter.seed),
      manifestDigest: manifestDigest(manifest),
      updates: seeds.map((seed, k) => {
        const bytes = testUpdate(manifest, seed, 3 + k)
        return { digest: digestOf(bytes), ...decodeUpdate(bytes, { shape }) }
      }),
    })
    expect(digests).toEqual([digest, digest, digest])
  }, 60_000)

  it('shows every frame in both directions', async () => {
    const frames: WireMessage[] = []
    const client = newClient({ onWire: (message) => frames.push(message) })
    await client.join(relay.url, manifest.room)
    const update = testUpdate(manifest, 'one')
    await client.upload(update)
    const out = frames.filter(({ direction }) => direction === 'out')
    const named = (name: string) => out.filter((frame) => frame.name === name)
    expect(named('join')).toHaveLength(1)
    expect(named('begin')).toHaveLength(1)
    expect(named('commit')).toHaveLength(1)
    const data = named('chunk data').map(({ payload }) => payload as Uint8Array)
    expect(Buffer.concat(data).equals(Buffer.from(update))).toBe(true)
    expect(frames.some(({ direction, name }) => direction === 'in' && name === 'status')).toBe(true)
    expect(out.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(update.byteLength + 16 * 1024)
  })
})
