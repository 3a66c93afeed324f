/**
 * A relay in a process of its own, for tests that kill it or watch its memory: `relay-process.ts SETTINGS`, where
 * SETTINGS is a RelayProcessSettings in JSON. Prints its URL, and on stderr what it logs as an error. Over the IPC
 * channel, if it has one, it answers `usage` with what it holds.
 */
import { createHash } from 'node:crypto'
import pino from 'pino'
import type { Manifest } from '../../protocol/manifest.ts'
import { startRelay } from '../server.ts'
import { NO_ADDRESS_LIMITS, TEST_BASE_DIGEST, testManifest } from './round.ts'

export interface RelayProcessSettings {
  readonly dataDir: string
  /** 0 or absent: a free one. */
  readonly port?: number
  readonly pageDir?: string
  readonly rooms?: readonly Manifest[]
}

/** After a garbage collection, where the process was started with `--expose-gc`. */
export interface ProcessUsage {
  readonly heapBytes: number
  /** Memory outside the heap that belongs to objects in it: buffers of sockets and files. */
  readonly externalBytes: number
  readonly residentBytes: number
  /** TCP connections, the listening one not counted. */
  readonly connections: number
  readonly timers: number
}

const settings = JSON.parse(process.argv[2] ?? 'null') as RelayProcessSettings | null
if (!settings) throw new Error('usage: relay-process.ts SETTINGS')
const { dataDir, port, pageDir, rooms = [testManifest()] } = settings
const relay = await startRelay({
  dataDir,
  port,
  pageDir,
  modelFiles: [{ digest: TEST_BASE_DIGEST, files: new Map() }],
  rooms,
  limits: NO_ADDRESS_LIMITS,
  log: pino({ level: 'error' }, pino.destination({ dest: 2, sync: true })),
  // Known to the test, and the same after a restart.
  hostToken: createHash('sha256').update(dataDir).digest('hex'),
})
process.stdout.write(`${relay.url}\n`)

// A test run that is broken off leaves no relays behind.
process.on('disconnect', () => process.exit())
process.on('message', (question) => {
  if (question !== 'usage') return
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  const resources = process.getActiveResourcesInfo()
  const count = (name: string) => resources.filter((resource) => resource === name).length
  const usage: ProcessUsage = {
    heapBytes: heapUsed,
    externalBytes: external,
    residentBytes: rss,
    connections: count('TCPSocketWrap'),
    timers: count('Timeout'),
  }
  process.send?.(usage)
})
