/** `backup`, `restore` and `verify` as a host types them, and that the ledger is as durable as SQLite can make it. */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { RelayClient } from '../client/client.ts'
import { digestOf } from '../protocol/canonical.ts'
import { startTestRelay, temporaryFolder, testManifest, testUpdate } from '../server/testing/round.ts'
import { LedgerDatabase } from '../store/ledger-database.ts'
import { runJson } from './testing/run-cli.ts'

it('a running relay is copied, restored and verified, tombstones too; one bit of damage is named', async () => {
  await using folder = await temporaryFolder()
  const [data, backup, restored] = ['data', 'backup', 'restored'].map((name) => path.join(folder.path, name))
  const manifest = testManifest({ publishEvery: 1 })
  const relay = await startTestRelay(data!, { rooms: [manifest] })
  try {
    const send = async (seed: string) => {
      const client = new RelayClient()
      await client.join(relay.url, manifest.room)
      await client.upload(testUpdate(manifest, seed))
      return client
    }
    const kept = await send('kept')
    const gone = await send('gone')
    if (gone.state.phase !== 'sent') throw new Error('not sent')
    await gone.withdraw(gone.state)
    for (const client of [kept, gone]) client.close()
    await relay.closeRoom(manifest.room)
    const copied = await runJson('backup', data!, '--out', backup!)
    expect(copied).toMatchObject({ status: 0, answer: { backup, rooms: 1, updates: 1, versions: 1 } })
    const again = await runJson('backup', data!, '--out', backup!)
    expect(again).toMatchObject({ status: 1, answer: { error: { code: 'store/locked' } } })
  } finally {
    await relay.close()
  }
  const back = await runJson('restore', backup!, '--data-dir', restored!)
  expect(back).toMatchObject({ status: 0, answer: { dataDir: restored, rooms: 1, updates: 1 } })
  const room = path.join(restored!, 'rooms', manifest.room)
  expect(await runJson('verify', room)).toMatchObject({
    status: 0,
    answer: { room: manifest.room, intact: true, updates: 1, withdrawn: 1, versions: 1 },
  })
  const update = path.join(room, 'updates', digestOf(testUpdate(manifest, 'kept')))
  const bytes = readFileSync(update)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(update, bytes)
  const { status, answer } = await runJson('verify', room)
  expect([status, answer.error.code]).toEqual([1, 'verify/damaged'])
  expect(answer.error.message).toContain(path.basename(update))
  expect(await runJson('verify', data!)).toMatchObject({
    status: 1,
    answer: { error: { code: 'store/damaged' } },
  })
})

it('the ledger waits for the disk at every commit: WAL with synchronous=FULL', async () => {
  await using folder = await temporaryFolder()
  const database = new LedgerDatabase(path.join(folder.path, 'relay.sqlite'))
  expect(database.prepare('PRAGMA journal_mode').get()).toMatchObject({ journal_mode: 'wal' })
  expect(database.prepare('PRAGMA synchronous').get()).toMatchObject({ synchronous: 2 })
  database.close()
})
