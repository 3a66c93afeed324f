/**
 * `npm run -s bench:merge -- --json`: what a merge takes at the size of SmolLM2-135M with LoRA r 8 on all seven
 * projections (2,442,240 numbers, 2.7 MB in I8). Two questions: how long one more arrival takes by a linear strategy
 * when so many were merged before, and how long so many updates take by FLoRIST. Updates are read from files as the
 * relay has them and merged in a thread, as it does; their numbers are random, so nothing in them helps a decomposition.
 * Meanwhile this thread does what a relay's does, waiting to answer: how late its timers come says how late an answer
 * would.
 *
 * --updates N   default 64        --before LIST   default 1,16,64        --layers N   of the 30, default all
 */
import { randomFillSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { encodeUpdate, updateBytes } from '../models/adapters/update-codec.ts'
import { parseSafetensors } from '../models/formats/safetensors.ts'
import { digestOf, digestOfText } from '../relay/protocol/canonical.ts'
import { type Manifest, manifestDigest } from '../relay/protocol/manifest.ts'
import type { Strategy } from '../relay/protocol/strategy.ts'
import { JobThread } from '../relay/server/job-thread.ts'
import type { StoredUpdate } from '../relay/server/update-file.ts'
import { benchManifest } from './room.ts'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    updates: { type: 'string', default: '64' },
    before: { type: 'string', default: '1,16,64' },
    layers: { type: 'string', default: '30' },
  },
})
const log = (line: string) => process.stderr.write(`${line}\n`)
const count = Number(options.updates)
const before = options.before.split(',').map(Number)

const HIDDEN = 576
const WIDE = 1536
const KEYS = 192
const PROJECTIONS = [
  ['self_attn.q_proj', HIDDEN, HIDDEN],
  ['self_attn.k_proj', HIDDEN, KEYS],
  ['self_attn.v_proj', HIDDEN, KEYS],
  ['self_attn.o_proj', HIDDEN, HIDDEN],
  ['mlp.gate_proj', HIDDEN, WIDE],
  ['mlp.up_proj', HIDDEN, WIDE],
  ['mlp.down_proj', WIDE, HIDDEN],
] as const
const shape = {
  rank: 8,
  alpha: 16,
  modules: Array.from({ length: Number(options.layers) }, (_, layer) =>
    PROJECTIONS.map(([name, inFeatures, outFeatures]) => ({
      name: `base_model.model.model.layers.${layer}.${name}`,
      inFeatures,
      outFeatures,
    })),
  ).flat(),
}

const manifestFor = (strategy: Strategy): Manifest =>
  benchManifest({
    base: {
      id: 'smollm2',
      digest: digestOfText('bench'),
      files: [{ name: 'model.gguf', bytes: 1, sha256: digestOfText('bench') }],
    },
    adapter: shape,
    strategy,
  })

/** So many updates of random codes, each as large as the last. */
async function writeUpdates(folder: string, manifest: Manifest, updates: number): Promise<StoredUpdate[]> {
  const numbers = (entries: number) => new Float32Array(entries).fill(0.01)
  const template = encodeUpdate({
    change: new Map(
      shape.modules.flatMap(({ name, inFeatures, outFeatures }) => [
        [`${name}.lora_A.weight`, numbers(8 * inFeatures)],
        [`${name}.lora_B.weight`, numbers(8 * outFeatures)],
      ]),
    ),
    shape,
    manifestDigest: manifestDigest(manifest),
    examples: 100,
    encoding: 'i8',
    seed: 'bench',
  })
  const codes = [...parseSafetensors(template).tensors.values()]
    .filter(({ dtype }) => dtype === 'I8')
    .map(({ bytes }) => bytes)
  const stored: StoredUpdate[] = []
  for (let k = 0; k < updates; k++) {
    for (const tensor of codes) {
      randomFillSync(tensor)
      for (let i = 0; i < tensor.length; i++) if (tensor[i] === 0x80) tensor[i] = 0
    }
    const digest = digestOf(template)
    const path = join(folder, digest)
    await writeFile(path, template)
    stored.push({ digest, path })
  }
  return stored
}

/** Elapsed, and of all threads together the processor's: on a machine with other work the first says little. */
const timed = async (work: () => Promise<unknown>) => {
  const fromMs = performance.now()
  const from = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(from)
  return { ms: Math.round(performance.now() - fromMs), cpuMs: Math.round((user + system) / 1000) }
}

const thread = new JobThread()
const folder = await mkdtemp(join(tmpdir(), 'oneround-merge-'))
const peakMB = () => Math.round((process.resourceUsage().maxRSS * 1024) / 1e6)
try {
  const linear: { before: number; ms: number; cpuMs: number }[] = []
  const fedit = manifestFor({ id: 'fedit' })
  log(`${Math.max(...before) + before.length} updates for fedit …`)
  const some = await writeUpdates(folder, fedit, Math.max(...before) + 1)
  for (const were of before) {
    const manifest = fedit
    await thread.merge({ manifest, updates: some.slice(0, were), startPath: null })
    const arrival = await timed(() =>
      thread.merge({ manifest, updates: some.slice(0, were + 1), startPath: null }),
    )
    linear.push({ before: were, ...arrival })
    log(`one more after ${were}: ${arrival.ms} ms, ${arrival.cpuMs} ms of processor time`)
  }
  const peakLinearMB = peakMB()
  const florist = manifestFor({ id: 'florist', tau: 0.999 })
  log(`${count} updates by FLoRIST …`)
  const many = await writeUpdates(folder, florist, count)
  const lateness = monitorEventLoopDelay({ resolution: 10 })
  lateness.enable()
  const merged = await timed(() => thread.merge({ manifest: florist, updates: many, startPath: null }))
  lateness.disable()
  const report = {
    cpu: `${cpus()[0]?.model ?? 'unknown'} x ${cpus().length}`,
    node: process.version,
    layers: Number(options.layers),
    numbers: shape.modules.reduce((sum, one) => sum + 8 * (one.inFeatures + one.outFeatures), 0),
    updateBytes: updateBytes(shape, 'i8'),
    linear,
    florist: { updates: count, ...merged },
    timerP99Ms: Math.round(lateness.percentile(99) / 1e6),
    timerMaxMs: Math.round(lateness.max / 1e6),
    peakLinearMB,
    peakMB: peakMB(),
  }
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
  else log(JSON.stringify(report, null, 2))
} finally {
  await thread.close()
  await rm(folder, { recursive: true, force: true })
}
