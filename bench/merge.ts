/**
 * `npm run -s bench:merge -- --json`: what a merge takes at the size of SmolLM2-135M with LoRA r 8 on all seven
 * projections (2,442,240 numbers, 2.7 MB in I8). Two questions: how long one more arrival takes by a linear strategy
 * when so many were merged before, and how long so many updates take by FLoRIST. Updates are read from files as the
 * relay has them and merged in a thread, as it does; their numbers are random, so nothing in them helps a decomposition.
 * Meanwhile this thread does what a relay's does, waiting to answer: how late its timers come says how late an answer
 * would.
 */
import { randomFillSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { AdapterShape } from '../models/adapters/adapter.ts'
import { encodeUpdate, updateBytes } from '../models/adapters/update-codec.ts'
import { parseSafetensors } from '../models/formats/safetensors.ts'
import { type OptionSpecs, parseNumber } from '../relay/cli/args.ts'
import { UsageError } from '../relay/cli/errors.ts'
import { digestOf, digestOfText } from '../relay/protocol/canonical.ts'
import { type Manifest, manifestDigest } from '../relay/protocol/manifest.ts'
import type { Strategy } from '../relay/protocol/strategy.ts'
import { JobThread } from '../relay/server/job-thread.ts'
import type { StoredUpdate } from '../relay/server/update-file.ts'
import { benchManifest } from './room.ts'
import { type Log, runBench } from './run-bench.ts'
import { type Lap, startClocks } from './timing.ts'

const OPTIONS: OptionSpecs = {
  updates: { type: 'string', value: 'N', help: 'merged by FLoRIST; default: 64' },
  before: {
    type: 'string',
    value: 'A,B',
    help: 'how many were merged before one more arrives; default: 1,16,64',
  },
  layers: { type: 'string', value: 'N', help: 'of the 30; default: 30' },
}

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

const shapeOf = (layers: number): AdapterShape => ({
  rank: 8,
  alpha: 16,
  modules: Array.from({ length: layers }, (_, layer) =>
    PROJECTIONS.map(([name, inFeatures, outFeatures]) => ({
      name: `base_model.model.model.layers.${layer}.${name}`,
      inFeatures,
      outFeatures,
    })),
  ).flat(),
})

const manifestFor = (shape: AdapterShape, strategy: Strategy): Manifest =>
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
async function writeUpdates(
  folder: string,
  shape: AdapterShape,
  manifest: Manifest,
  updates: number,
): Promise<StoredUpdate[]> {
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
async function timed(work: () => Promise<unknown>): Promise<{ ms: number; cpuMs: number }> {
  const read = startClocks()
  await work()
  const { wallMs, cpuMs }: Lap = read()
  return { ms: Math.round(wallMs), cpuMs: Math.round(cpuMs) }
}

const peakMB = () => Math.round((process.resourceUsage().maxRSS * 1024) / 1e6)

interface Asked {
  readonly updates: number
  readonly before: readonly number[]
  readonly layers: number
}

async function bench({ updates, before, layers }: Asked, log: Log) {
  const shape = shapeOf(layers)
  const thread = new JobThread()
  const folder = await mkdtemp(join(tmpdir(), 'oneround-merge-'))
  try {
    const linear: { before: number; ms: number; cpuMs: number }[] = []
    const fedit = manifestFor(shape, { id: 'fedit' })
    const most = Math.max(...before)
    log(`${most + 1} updates are written for fedit …`)
    const some = await writeUpdates(folder, shape, fedit, most + 1)
    for (const were of before) {
      const merge = (count: number) =>
        thread.merge({ manifest: fedit, updates: some.slice(0, count), startPath: null })
      await merge(were)
      const arrival = await timed(() => merge(were + 1))
      linear.push({ before: were, ...arrival })
      log(`one more after ${were}: ${arrival.ms} ms, ${arrival.cpuMs} ms of processor time`)
    }
    const peakLinearMB = peakMB()
    const florist = manifestFor(shape, { id: 'florist', tau: 0.999 })
    log(`${updates} updates by FLoRIST …`)
    const many = await writeUpdates(folder, shape, florist, updates)
    const lateness = monitorEventLoopDelay({ resolution: 10 })
    lateness.enable()
    const merged = await timed(() => thread.merge({ manifest: florist, updates: many, startPath: null }))
    lateness.disable()
    return {
      faults: [],
      layers,
      numbers: shape.modules.reduce((sum, one) => sum + 8 * (one.inFeatures + one.outFeatures), 0),
      updateBytes: updateBytes(shape, 'i8'),
      linear,
      florist: { updates, ...merged },
      timerP99Ms: Math.round(lateness.percentile(99) / 1e6),
      timerMaxMs: Math.round(lateness.max / 1e6),
      peakLinearMB,
      peakMB: peakMB(),
    }
  } finally {
    await thread.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Of the updates that a room takes at most. */
const MOST_UPDATES = 1024

function counts(text: string): number[] {
  return text.split(',').map((part) => {
    const count = parseNumber(part)
    if (!(Number.isInteger(count) && count >= 1 && count < MOST_UPDATES))
      throw new UsageError(
        `--before takes whole numbers from 1 to ${MOST_UPDATES - 1}, not ${JSON.stringify(part)}.`,
      )
    return count
  })
}

await runBench({
  command: 'npm run -s bench:merge --',
  what: 'Measures merges at the size of SmolLM2-135M: one more arrival by fedit, and many updates by FLoRIST.',
  options: OPTIONS,
  run: (options, log) =>
    bench(
      {
        updates: options.integer('updates', { least: 1, most: MOST_UPDATES }) ?? 64,
        before: counts(options.text('before') ?? '1,16,64'),
        layers: options.integer('layers', { least: 1, most: 30 }) ?? 30,
      },
      log,
    ),
})
