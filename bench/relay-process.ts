/**
 * The relay that bench/relay.ts loads, in a process of its own so that its memory is its own: `relay-process.ts
 * SETTINGS` in JSON. Sends `{url, hostToken}` over IPC when it listens and answers `memory` with its resident bytes.
 */
import pino from 'pino'
import { startRelay } from '../relay/server/index.ts'

export interface RelayBenchSettings {
  readonly dataDir: string
  readonly modelFile: string
  readonly baseDigest: string
  readonly clients: number
}

export interface RelayMemory {
  readonly residentBytes: number
  /** The most since the process started. */
  readonly peakBytes: number
}

const settings = JSON.parse(process.argv[2] ?? 'null') as RelayBenchSettings | null
if (!settings) throw new Error('usage: relay-process.ts SETTINGS')
const relay = await startRelay({
  dataDir: settings.dataDir,
  modelFiles: [{ digest: settings.baseDigest, files: new Map([['model.safetensors', settings.modelFile]]) }],
  rooms: [],
  // All clients share one address here.
  limits: { sockets: settings.clients + 1, joinsPerMinute: settings.clients + 1 },
  log: pino({ level: 'error' }, pino.destination({ dest: 2, sync: true })),
})
process.on('disconnect', () => process.exit())
process.on('message', (question) => {
  if (question === 'stop') return void relay.close().then(() => process.exit())
  const memory: RelayMemory = {
    residentBytes: process.memoryUsage.rss(),
    peakBytes: process.resourceUsage().maxRSS * 1024,
  }
  process.send?.(memory)
})
process.send?.({ url: relay.url, hostToken: relay.hostToken })
