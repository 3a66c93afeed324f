/**
 * The relay here against its own document, from outside; and a relay that breaks one promise is found out.
 * ONEROUND_RELAY=URL runs the same against any other.
 */
import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TestFolder, temporaryFolder } from '../../relay/server/testing/round.ts'
import { type RelayProcess, spawnRelay } from '../../relay/server/testing/spawn-relay.ts'
import { runConformance } from './checks.ts'

let folder: TestFolder
let relay: RelayProcess | undefined
let url = process.env.ONEROUND_RELAY ?? ''

beforeAll(async () => {
  folder = await temporaryFolder()
  if (url !== '') return
  relay = await spawnRelay(folder.path)
  url = relay.url
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

it('finds out a server that only looks like a relay', async () => {
  const impostor = createServer((_, response) => response.end('{"ok":true,"rooms":[]}'))
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve))
  const { port } = impostor.address() as { port: number }
  try {
    const failed = (await runConformance(`http://127.0.0.1:${port}`)).filter(({ ok }) => !ok)
    expect(failed.length).toBeGreaterThan(12)
  } finally {
    impostor.closeAllConnections()
    impostor.close()
  }
}, 60_000)
