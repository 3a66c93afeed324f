/** `host-key`: a new key for a relay that is stopped. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { hostTokenOf } from '../server/identity.ts'
import { RelayStore } from '../store/relay-store.ts'
import { runJson } from './testing/run-cli.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-host-key-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('replaces the key of a relay that is stopped, and of no other', async () => {
  const directory = path.join(folder, 'data')
  const store = await RelayStore.open({ directory })
  const first = hostTokenOf(store.hostKey)
  const locked = await runJson('host-key', directory)
  expect(locked).toMatchObject({ status: 1, answer: { error: { code: 'store/locked' } } })
  store.close()

  const { status, answer } = await runJson('host-key', directory)
  expect(status).toBe(0)
  expect(answer.hostToken).not.toBe(first)
  const again = await RelayStore.open({ directory })
  expect(hostTokenOf(again.hostKey)).toBe(answer.hostToken)
  again.close()

  const elsewhere = await runJson('host-key', folder)
  expect(elsewhere).toMatchObject({ status: 1, answer: { error: { code: 'file/missing' } } })
})
