/**
 * `npm run -s bench:relay -- --json`: a relay in a process of its own, and here its load over loopback: all clients
 * joined at once, each sends one update of about 0.5 MB in acknowledged chunks and gets its signed receipt; then the
 * base model's file goes to 30 of them at once. Times are the client's, from sending to acknowledgement, with all
 * clients sending as fast as they are answered: under such load an acknowledgement is mostly waiting for the others.
 *
 * The room averages factors (`fedit`) and publishes every --publish-every contributions (default 100), so merging in the
 * relay is part of the load.
 */
import { fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { io, type Socket } from 'socket.io-client'
import { encodeUpdate } from '../models/adapters/update-codec.ts'
import type { OptionSpecs } from '../relay/cli/args.ts'
import { digestOf, digestOfText } from '../relay/protocol/canonical.ts'
import type { Manifest } from '../relay/protocol/manifest.ts'
import type { Receipt, Version } from '../relay/protocol/messages.ts'
import { checkReceipt } from '../relay/protocol/receipt.ts'
import type { RelayBenchSettings, RelayMemory } from './relay-process.ts'
import { benchManifest } from './room.ts'
import { type Log, runBench } from './run-bench.ts'

const OPTIONS: OptionSpecs = {
  clients: { type: 'string', value: 'N', help: 'who join at once; default: 500' },
  'publish-every': { type: 'string', value: 'N', help: 'contributions a version; default: 100' },
}
const MODEL_BYTES = 64 * 1024 * 1024
const DOWNLOADS = 30

const shape = {
  rank: 8,
  alpha: 16,
  modules: Array.from({ length: 30 }, (_, layer) => ({
    name: `base_model.model.model.layers.${layer}.self_attn.q_proj`,
    inFeatures: 1024,
    outFeatures: 1024,
  })),
}

/** Distinct updates without drawing half a million numbers each: the last codes differ. */
function updateOf(template: Uint8Array, client: number): Uint8Array {
  const bytes = template.slice()
  new DataView(bytes.buffer).setInt16(bytes.length - 2, (client % 100) | ((client / 100) << 8), true)
  return bytes
}

interface Sent {
  readonly receipt: Receipt
  readonly chunkMs: readonly number[]
  /** Times the relay had as many uploads under way as it takes. */
  readonly waits: number
}

async function connected(url: string): Promise<Socket> {
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('connect_error', reject)
  })
  return socket
}

async function ask(socket: Socket, event: string, payload: object) {
  const answer = await socket.timeout(300_000).emitWithAck(event, payload)
  if (!answer.ok) throw new Error(`${event} was refused: ${answer.code}`)
  return answer
}

/** False if too many uploads are unfinished; the protocol then asks to try again. */
async function hasBegun(socket: Socket, digest: string, bytes: number): Promise<boolean> {
  const answer = await socket.timeout(300_000).emitWithAck('begin', { digest, bytes })
  if (!answer.ok && answer.code !== 'upload/too-many') throw new Error(`begin was refused: ${answer.code}`)
  return answer.ok
}

async function send(socket: Socket, bytes: Uint8Array, chunkBytes: number): Promise<Sent> {
  const digest = digestOf(bytes)
  let waits = 0
  while (!(await hasBegun(socket, digest, bytes.length))) {
    waits++
    await new Promise((resolve) => setTimeout(resolve, 250 + 500 * Math.random()))
  }
  const chunkMs: number[] = []
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) {
    const sentMs = performance.now()
    await ask(socket, 'chunk', { offset, data: bytes.subarray(offset, offset + chunkBytes) })
    chunkMs.push(performance.now() - sentMs)
  }
  const { receipt } = await ask(socket, 'commit', { digest })
  return { receipt, chunkMs, waits }
}

async function download(url: string): Promise<string> {
  const response = await fetch(url)
  if (!response.ok || !response.body) throw new Error(`the model file was answered with ${response.status}`)
  const hash = createHash('sha256')
  for await (const part of response.body) hash.update(part)
  return hash.digest('hex')
}

/** Returns its digest. */
async function writeModelFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await using file = await open(path, 'w')
  const block = randomBytes(1024 * 1024)
  for (let written = 0; written < MODEL_BYTES; written += block.length) {
    block.writeUInt32LE(written, 0)
    hash.update(block)
    await file.write(block)
  }
  return hash.digest('hex')
}

const quantile = (sorted: readonly number[], q: number) => sorted[Math.floor(q * (sorted.length - 1))]!
const round = (value: number, digits = 1) => Number(value.toFixed(digits))

async function bench(clients: number, publishEvery: number, log: Log) {
  const folder = await mkdtemp(join(tmpdir(), 'oneround-bench-'))
  const modelFile = join(folder, 'model.safetensors')
  const sha256 = await writeModelFile(modelFile)
  const baseDigest = digestOfText('bench')
  const settings: RelayBenchSettings = {
    dataDir: join(folder, 'data'),
    modelFile,
    baseDigest,
    clients: Math.max(clients, DOWNLOADS),
  }
  const relay = fork(new URL('./relay-process.ts', import.meta.url), [JSON.stringify(settings)])
  const memory = async (): Promise<RelayMemory> => {
    const answered = once(relay, 'message')
    relay.send('memory')
    return (await answered)[0]
  }
  try {
    const [{ url, hostToken }] = (await once(relay, 'message')) as [{ url: string; hostToken: string }]
    const created = await fetch(`${url}/api/rooms`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${hostToken}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(
        benchManifest({
          base: {
            id: 'bench',
            digest: baseDigest,
            files: [{ name: 'model.safetensors', bytes: MODEL_BYTES, sha256: sha256 as typeof baseDigest }],
          },
          adapter: shape,
          strategy: { id: 'fedit' },
          publishEvery,
        }),
      ),
    })
    if (created.status !== 201) throw new Error(`the room was not made: ${await created.text()}`)
    const idle = await memory()

    log(`${clients} clients join …`)
    const joinedFromMs = performance.now()
    const sockets = await Promise.all(Array.from({ length: clients }, () => connected(url)))
    const answers = await Promise.all(
      sockets.map((socket) => ask(socket, 'join', { protocolVersion: 1, room: 'bench' })),
    )
    const joinMs = performance.now() - joinedFromMs
    const manifest: Manifest = answers[0].manifest
    const change = new Map(
      shape.modules.flatMap(({ name, inFeatures, outFeatures }) => [
        [`${name}.lora_A.weight`, Float32Array.from({ length: 8 * inFeatures }, (_, i) => Math.sin(i) / 100)],
        [
          `${name}.lora_B.weight`,
          Float32Array.from({ length: 8 * outFeatures }, (_, i) => Math.cos(i) / 100),
        ],
      ]),
    )
    const template = encodeUpdate({
      change,
      shape,
      manifestDigest: answers[0].manifestDigest,
      examples: 10,
      encoding: 'i8',
      seed: 'bench',
    })

    log(`each sends ${template.length} bytes …`)
    const sentFromMs = performance.now()
    const sent = await Promise.all(
      sockets.map((socket, k) => send(socket, updateOf(template, k), manifest.limits.chunkBytes)),
    )
    const sendMs = performance.now() - sentFromMs
    const afterSending = await memory()
    for (const { receipt } of sent) checkReceipt(receipt, manifest)
    for (const socket of sockets) socket.disconnect()

    log('the room closes, the rest is merged …')
    const closed = await fetch(`${url}/api/rooms/bench/close`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${hostToken}` },
    })
    if (!closed.ok) throw new Error(`closing failed: ${await closed.text()}`)
    const { versions } = (await (await fetch(`${url}/api/rooms/bench/versions`)).json()) as {
      versions: Version[]
    }
    const last = versions.at(-1)
    const about = await (await fetch(`${url}/api/rooms/bench/versions/${last?.version}/version.json`)).json()
    const merged = new Set<string>(about.updateDigests)
    const receiptsTrue = sent.filter(({ receipt }) => merged.has(receipt.digest)).length
    const afterMerging = await memory()

    log(`${DOWNLOADS} clients fetch the model file …`)
    let mostBytes = afterMerging.residentBytes
    let downloading = true
    const watched = (async () => {
      while (downloading) {
        mostBytes = Math.max(mostBytes, (await memory()).residentBytes)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })()
    const downloadFromMs = performance.now()
    const digests = await Promise.all(
      Array.from({ length: DOWNLOADS }, () => download(`${url}/models/${baseDigest}/model.safetensors`)),
    )
    const downloadMs = performance.now() - downloadFromMs
    downloading = false
    await watched

    const chunkMs = sent.flatMap(({ chunkMs }) => chunkMs).sort((a, b) => a - b)
    const megabytes = (bytes: number) => round(bytes / 1e6)
    const intact = digests.filter((digest) => digest === sha256).length
    const faults: string[] = []
    if (receiptsTrue !== clients)
      faults.push(`${receiptsTrue} of ${clients} receipts are in the merged version`)
    if (intact !== DOWNLOADS) faults.push(`${intact} of ${DOWNLOADS} downloads are what the file is`)
    return {
      faults,
      clients,
      updateBytes: template.length,
      publishEvery,
      receiptsTrue,
      distinctUpdates: merged.size,
      joinMs: round(joinMs, 0),
      chunks: chunkMs.length,
      chunkAckP50Ms: round(quantile(chunkMs, 0.5)),
      chunkAckP99Ms: round(quantile(chunkMs, 0.99)),
      sendMs: round(sendMs, 0),
      waits: sent.reduce((sum, { waits }) => sum + waits, 0),
      publishedVersions: versions.length,
      relayIdleMB: megabytes(idle.residentBytes),
      relayPeakMB: megabytes(afterSending.peakBytes),
      relayPeakWithMergesMB: megabytes(afterMerging.peakBytes),
      download: {
        clients: DOWNLOADS,
        fileBytes: MODEL_BYTES,
        intact,
        ms: round(downloadMs, 0),
        grewMB: megabytes(mostBytes - afterMerging.residentBytes),
      },
    }
  } finally {
    relay.send('stop')
    await once(relay, 'exit')
    await rm(folder, { recursive: true, force: true })
  }
}

await runBench({
  command: 'npm run -s bench:relay --',
  what: 'Measures a relay that many clients join, send to and download from at once.',
  options: OPTIONS,
  run: (options, log) =>
    bench(
      options.integer('clients', { least: 1, most: 10_000 }) ?? 500,
      options.integer('publish-every', { least: 1, most: 1024 }) ?? 100,
      log,
    ),
})
