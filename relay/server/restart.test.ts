/** What a relay does about the past: killed between updates, between accepting and publishing, or with damaged files. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import type { Receipt, Version } from '../protocol/messages.ts'
import { RelayStore } from '../store/relay-store.ts'
import { inspectUpdate } from './jobs.ts'
import {
  startTestRelay,
  type TestFolder,
  temporaryFolder,
  testManifest,
  testUpdate,
} from './testing/round.ts'
import { type RelayProcess, spawnRelay } from './testing/spawn-relay.ts'

const manifest = testManifest()
const seeds = ['one', 'two', 'three']

const send = async (
  url: string,
  seed: string,
): Promise<{ receipt: Receipt; participant: string; token: string }> => {
  const client = new RelayClient()
  const { membership } = await client.join(url, manifest.room)
  const receipt = await client.upload(testUpdate(manifest, seed))
  client.close()
  return { receipt, participant: membership.participant, token: membership.token }
}
const versionsOf = async (url: string): Promise<Version[]> => {
  const answer = await fetch(`${url}/api/rooms/${manifest.room}/versions`)
  return ((await answer.json()) as { versions: Version[] }).versions
}
const published = async (url: string, count: number): Promise<Version[]> => {
  await expect.poll(() => versionsOf(url), { timeout: 15_000 }).toHaveLength(count)
  return versionsOf(url)
}

describe('a relay that comes back', () => {
  let folder: TestFolder
  const processes: RelayProcess[] = []
  beforeEach(async () => {
    folder = await temporaryFolder()
  })
  afterEach(async () => {
    for (const relay of processes.splice(0)) await relay.kill()
    await folder[Symbol.asyncDispose]()
  })
  const spawned = async (dataDir: string, environment?: NodeJS.ProcessEnv) => {
    const relay = await spawnRelay(dataDir, { environment })
    processes.push(relay)
    return relay
  }

  it('loses nothing accepted to SIGKILL between updates, and merges to the same digest', async () => {
    const undisturbed = await startTestRelay(join(folder.path, 'undisturbed'))
    for (const seed of seeds) await send(undisturbed.url, seed)
    const [expected] = await published(undisturbed.url, 1)
    await undisturbed.close()

    const dataDir = join(folder.path, 'killed')
    const sent: Awaited<ReturnType<typeof send>>[] = []
    for (const seed of seeds) {
      const relay = await spawned(dataDir)
      sent.push(await send(relay.url, seed))
      if (seed === 'three') await published(relay.url, 1)
      await relay.kill()
    }
    const relay = await spawned(dataDir)
    const [version] = await versionsOf(relay.url)
    expect(version).toMatchObject({
      version: 1,
      contributions: 3,
      digest: expected!.digest,
      files: expected!.files,
    })
    for (const { receipt, participant, token } of sent) {
      const client = new RelayClient()
      expect(await client.join(relay.url, manifest.room, { participant, token })).toMatchObject({
        phase: 'sent',
        receipt,
      })
      client.close()
    }
  }, 180_000)

  it('is refused a folder that another process uses', async () => {
    await spawned(folder.path)
    await expect(startTestRelay(folder.path)).rejects.toMatchObject({ code: 'store/locked' })
    await expect(spawnRelay(folder.path)).rejects.toThrow('Another relay is using this data folder')
  }, 30_000)

  /** Accepts three updates as a relay that dies before it publishes. */
  const acceptWithoutPublishing = async () => {
    const store = await RelayStore.open({ directory: folder.path })
    const room = await store.createRoom(manifest)
    for (const [k, seed] of seeds.entries()) {
      const update = testUpdate(manifest, seed)
      const participant = String(k).repeat(32)
      await room.begin(participant, digestOf(update), update.byteLength, () => false)
      await room.append(participant, update)
      await room.accept(participant, async (digest, bytes) => inspectUpdate(manifest, digest, bytes))
    }
    store.close()
  }

  it('publishes what it had accepted and not published', async () => {
    await acceptWithoutPublishing()
    const relay = await startTestRelay(folder.path)
    expect(await published(relay.url, 1)).toMatchObject([{ version: 1, contributions: 3 }])
    await relay.close()
  }, 20_000)

  it('makes damaged files of a version again, byte for byte', async () => {
    await acceptWithoutPublishing()
    const first = await startTestRelay(folder.path)
    await published(first.url, 1)
    await first.close()
    const version = join(folder.path, 'rooms', manifest.room, 'versions', '1')
    const flipped = (bytes: Buffer) => Buffer.from(bytes.map((byte, i) => (i === 9 ? byte ^ 1 : byte)))
    for (const [name, damage] of [
      ['adapter_model.safetensors', (bytes: Buffer) => bytes.subarray(1)],
      ['version.json', flipped],
    ] as const) {
      const before = await readFile(join(version, name))
      await writeFile(join(version, name), damage(before))
      const again = await startTestRelay(folder.path)
      expect((await readFile(join(version, name))).equals(before), name).toBe(true)
      await again.close()
    }
  }, 20_000)

  it('says in its log when a version no longer follows from the updates', async () => {
    await acceptWithoutPublishing()
    const store = await RelayStore.open({ directory: folder.path })
    const room = store.restored[0]!.store
    const updates = room.updates().map(({ digest }) => digest)
    const forged = { version: 1, digest: digestOf(new Uint8Array(1)), contributions: 3 }
    await room.addVersion(forged, updates, { 'adapter_config.json': new Uint8Array(1) })
    store.close()
    const lines: string[] = []
    const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) })
    const relay = await startTestRelay(folder.path, { log })
    await expect.poll(() => lines.join(''), { timeout: 10_000 }).toContain('store/version-differs')
    await relay.close()
  }, 20_000)

  it('lets go of the folder when it cannot listen', async () => {
    const first = await startTestRelay(join(folder.path, 'first'))
    const second = join(folder.path, 'second')
    await expect(startTestRelay(second, { port: first.port })).rejects.toMatchObject({
      code: 'relay/address',
    })
    const retried = await startTestRelay(second)
    await retried.close()
    await first.close()
  })

  it('has loaded no tensor library, nor have its threads, after accepting and publishing', async () => {
    const loaded = join(folder.path, 'loaded-modules')
    const hook = new URL('./testing/log-loaded-modules.mjs', import.meta.url)
    const relay = await spawned(join(folder.path, 'data'), {
      NODE_OPTIONS: `--import ${hook.href}`,
      LOADED_MODULES: loaded,
    })
    for (const seed of seeds) await send(relay.url, seed)
    await published(relay.url, 1)
    const modules = (await readFile(loaded, 'utf8')).split('\n')
    // The list is the real one: relay, and what its threads load.
    for (const file of [
      'relay/server/server.ts',
      'relay/server/job-worker.ts',
      'relay/aggregation/florist.ts',
    ]) {
      expect(
        modules.some((url) => url.includes(file)),
        file,
      ).toBe(true)
    }
    expect(modules.filter((url) => /@tensorflow|node_modules\/webgpu/.test(url))).toEqual([])
  }, 40_000)
})
