/**
 * The relay here against its own document, from outside; and a relay that breaks one promise is found out.
 * ONEROUND_RELAY=URL runs the same against any other, with ONEROUND_HOST_TOKEN also what needs the host's.
 */
import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TestFolder, temporaryFolder } from '../../relay/server/testing/round.ts'
import { type RelayProcess, spawnRelay } from '../../relay/server/testing/spawn-relay.ts'
import { runConformance } from './checks.ts'
import { runRoomKinds } from './room-kinds.ts'

let folder: TestFolder
let relay: RelayProcess | undefined
let url = process.env.ONEROUND_RELAY ?? ''
let hostToken = process.env.ONEROUND_HOST_TOKEN ?? ''

beforeAll(async () => {
  folder = await temporaryFolder()
  if (url !== '') return
  relay = await spawnRelay(folder.path)
  ;({ url, hostToken } = relay)
})
afterAll(async () => {
  await relay?.kill()
  await folder[Symbol.asyncDispose]()
})

it('does what docs/protocol.md says', async () => {
  const results = await runConformance(url)
  expect(results.filter(({ ok }) => !ok)).toEqual([])
  expect(results.length).toBeGreaterThan(15)
}, 60_000)

it('keeps what docs/protocol.md says of rounds, sequential, private and gated rooms, and of deletion', async (context) => {
  if (hostToken === '') return context.skip('ONEROUND_HOST_TOKEN is not given')
  const results = await runRoomKinds(url, hostToken)
  expect(results.filter(({ ok }) => !ok)).toEqual([])
  expect(results.map(({ name }) => name.split(':')[0])).toEqual([
    ...['rounds', 'sequential', 'private', 'a gate', 'deletion'],
  ])
}, 60_000)

it('finds out a server that only looks like a relay', async () => {
  const impostor = createServer((_, response) => response.end('{"ok":true,"rooms":[]}'))
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve))
  const { port } = impostor.address() as { port: number }
  try {
    const failed = (await runConformance(`http://127.0.0.1:${port}`)).filter(({ ok }) => !ok)
    expect(failed.length).toBeGreaterThan(12)
    const kinds = await runRoomKinds(`http://127.0.0.1:${port}`, 'token')
    expect(kinds.map(({ ok }) => ok)).toEqual([false, false, false, false, false])
  } finally {
    impostor.closeAllConnections()
    impostor.close()
  }
}, 60_000)
