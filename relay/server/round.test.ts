import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RelayClient } from '../client/client.ts'
import type { WireMessage } from '../client/wire-log.ts'
import { digestOf } from '../protocol/canonical.ts'
import type { Version } from '../protocol/messages.ts'
import type { Relay } from './server.ts'
import {
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'

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
