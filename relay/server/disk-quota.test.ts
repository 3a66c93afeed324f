/** A data folder that may hold no more than its quota: new uploads are refused, and all else goes on. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import { withQuota } from '../store/disk-quota.ts'
import { nodeFileSystem } from '../store/file-system.ts'
import { OwnRelay } from './testing/own-relay.ts'
import { testManifest, testUpdate } from './testing/round.ts'

const own = OwnRelay.forEachTest()

const full = expect.objectContaining({ code: 'store/full' })

it('counts what is written, appended, cut, renamed and removed, and what was there before', async () => {
  const at = (name: string) => join(own.folder, name)
  await nodeFileSystem.makeDirectory(at('old'))
  await nodeFileSystem.write(at('old/a'), new Uint8Array(300))
  const files = await withQuota(own.folder, nodeFileSystem, 1000)
  /** The most that may still come. */
  const free = async () => {
    let bytes = 1000
    for (; bytes >= 0; bytes--) {
      try {
        files.reserve!(at('probe'), bytes)
        break
      } catch (error) {
        expect(error).toEqual(full)
      }
    }
    await files.remove(at('probe'))
    return bytes
  }
  expect(await free()).toBe(700)
  await files.write(at('b'), new Uint8Array(200))
  expect(await free()).toBe(500)
  await files.write(at('b'), new Uint8Array(50)) // replaced
  expect(await free()).toBe(650)
  files.reserve!(at('c'), 400)
  expect(await free()).toBe(250)
  await files.append(at('c'), new Uint8Array(100)) // a part of what was promised
  expect(await free()).toBe(250)
  await files.truncate(at('c'), 60)
  expect(await free()).toBe(290)
  await files.rename(at('c'), at('b')) // complete, and in place of another
  expect(await free()).toBe(640)
  await files.write(at('beyond'), new Uint8Array(900)) // never refused: what was accepted must be published
  expect(await free()).toBe(-1)
  await files.remove(at('beyond'))
  await files.remove(at('old'))
  await files.remove(at('nothing'))
  expect(await free()).toBe(940)
})

it('refuses a new upload before its bytes come; one that has begun is finished, merged and can be withdrawn', async () => {
  const manifest = testManifest({ publishEvery: 1 })
  const start = async (diskQuotaBytes: number) => (await own.start({ rooms: [manifest], diskQuotaBytes })).url
  const joined = () => own.joined(manifest, { giveUpAfterMs: 300 })
  const update = testUpdate(manifest, 'one')
  const patient = new RelayClient()
  const { membership } = await patient.join(await start(1e9), manifest.room)
  let isCut = false
  const cut = patient.upload(update, {
    onProgress: (sent) => {
      if (sent < 512 || isCut) return
      isCut = true
      patient.close()
    },
  })
  await expect(cut).rejects.toMatchObject({ code: 'client/aborted' })
  await own.relay.close()
  // From here on there is no room at all.
  const tight = await start(1)
  expect((await fetch(`${tight}/readyz`)).status).toBe(503)
  const sent: number[] = []
  const refused = (await joined()).upload(testUpdate(manifest, 'two'), {
    onProgress: (bytes) => sent.push(bytes),
  })
  await expect(refused).rejects.toMatchObject({ code: 'store/full' })
  expect(sent.filter((bytes) => bytes > 0)).toEqual([])

  const back = own.client({ giveUpAfterMs: 5000 })
  const { participant, token } = membership
  await back.join(tight, manifest.room, { participant, token })
  expect((await back.upload(update)).digest).toBe(digestOf(update))
  const versions = async () =>
    (await (await fetch(`${tight}/api/rooms/${manifest.room}/versions`)).json()).versions.length
  await expect.poll(versions, { timeout: 30_000 }).toBe(1)
  // The same update from somebody else takes no blob, but lines of the log.
  await expect((await joined()).upload(update)).rejects.toMatchObject({ code: 'store/full' })
  if (back.state.phase !== 'sent') throw new Error('not sent')
  expect(await back.withdraw(back.state)).toMatchObject({ phase: 'withdrawn' })
})
