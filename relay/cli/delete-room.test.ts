/** `delete-room`: a room taken out of a stopped relay's folder, for good, and what `host` calls its room then. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder, testManifest } from '../server/testing/round.ts'
import { RelayStore } from '../store/relay-store.ts'
import { host, runJson } from './testing/run-cli.ts'

it('deletes one room of a stopped relay, and only when it is told twice', async () => {
  await using folder = await temporaryFolder()
  const directory = path.join(folder.path, 'data')
  const store = await RelayStore.open({ directory })
  for (const room of ['main', 'other']) await store.createRoom(testManifest({ room }))
  const running = await runJson('delete-room', directory, 'main', '--yes')
  expect(running).toMatchObject({ status: 1, answer: { error: { code: 'store/locked' } } })
  store.close()

  const unsure = await runJson('delete-room', directory, 'main')
  expect(unsure.status).toBe(2)
  expect(unsure.answer.error.message).toMatch(/0 contributions and 0 versions/)
  const unknown = await runJson('delete-room', directory, 'mian', '--yes')
  expect(unknown).toMatchObject({ status: 1, answer: { error: { code: 'room/unknown' } } })
  expect(unknown.answer.error.message).toMatch(/main, other/)
  expect(readdirSync(path.join(directory, 'rooms')).sort()).toEqual(['main', 'other'])

  const { status, answer } = await runJson('delete-room', directory, 'main', '--yes')
  expect([status, answer.room, answer.log.lines]).toEqual([0, 'main', 1])
  expect(readdirSync(path.join(directory, 'rooms'))).toEqual(['other'])

  // A link to the old one must not open the next.
  const started = await host('--data-dir', directory)
  try {
    expect(started.answer.room).toBe('main-2')
  } finally {
    await started.stop()
  }
})
