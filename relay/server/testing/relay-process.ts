/** A relay in a process of its own, for tests that kill it: `relay-process.ts DATA_DIR`; prints its URL. */
import { createHash } from 'node:crypto'
import { startRelay } from '../server.ts'
import { silent, TEST_BASE_DIGEST, testManifest } from './round.ts'

const [dataDir] = process.argv.slice(2)
if (!dataDir) throw new Error('usage: relay-process.ts DATA_DIR')
const relay = await startRelay({
  dataDir,
  modelFiles: [{ digest: TEST_BASE_DIGEST, files: new Map() }],
  rooms: [testManifest()],
  log: silent,
  // Known to the test, and the same after a restart.
  hostToken: createHash('sha256').update(dataDir).digest('hex'),
})
process.stdout.write(`${relay.url}\n`)
