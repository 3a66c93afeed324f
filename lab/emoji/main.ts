/**
 * The federated story of the text-to-image model: eight clients hold the Twemoji of one category each, train the same
 * adapter from the same start, and their deltas are averaged once. Everything is measured on pictures that nobody
 * trains on. `docs/experiments.md` has the table and what it does and does not show.
 *
 * Resumes: each finished adapter, each measurement and, every half minute, the run at hand are kept in --out.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Adapter, type LoraFactors, loraA } from '../../models/adapters/adapter.ts'
import { scaledAdapter } from '../../models/adapters/scaled.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { captionTokenizer } from '../../models/diffusion/captions.ts'
import { parseDiffusionConfig } from '../../models/diffusion/config.ts'
import { DiffusionModel } from '../../models/diffusion/model.ts'
import { projections } from '../../models/diffusion/modules.ts'
import { normalNoise } from '../../models/diffusion/noise.ts'
import { readPeftAdapter, writePeftAdapter } from '../../models/formats/peft.ts'
import { parseSafetensors, toFloat32 } from '../../models/formats/safetensors.ts'
import { decodeCheckpoint, encodeCheckpoint } from '../../models/training/checkpoint.ts'
import type { Recipe } from '../../models/training/recipe.ts'
import { train } from '../../models/training/trainer.ts'
import { mergeAdapters } from '../../relay/aggregation/index.ts'
import { type Losses, pictureLosses } from './picture-losses.ts'
import { readLabPictures } from './pictures.ts'
import { type Result, resultTable } from './table.ts'

const RANK = 8
const ALPHA = 16
const SCALES = [1, 1.5, 2]
const CHECKPOINT_MS = 30_000

const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: process.env.ONEROUND_EMOJI ?? '' },
    out: { type: 'string' },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '200' },
    backend: { type: 'string', default: 'wasm' },
    // These clients (or pooled) alone, and no merge: several processes may share the work over one --out.
    only: { type: 'string' },
    // Who takes part in the merge; default: all eight.
    clients: { type: 'string' },
    'without-pooled': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const note = (text: string) => process.stderr.write(`${text}\n`)
if (args.data === '') {
  note(
    'Name the folder with style-b.safetensors and emoji.json (1,400 Twemoji with captions) by --data, or ONEROUND_EMOJI.',
  )
  process.exit(2)
}
const steps = Number(args.steps)
const out = path.resolve(args.out ?? `lab-results/emoji/seed-${args.seed}-steps-${steps}`)
await mkdir(out, { recursive: true })

const catalog = fileURLToPath(new URL('../../models/catalog/emoji-dit/', import.meta.url))
const json = async (name: string) => JSON.parse(await readFile(path.join(catalog, name), 'utf8'))
const config = parseDiffusionConfig(await json('config.json'))
const captions = captionTokenizer(await json('tokenizer.json'), config)
const engine = await createNodeEngine({ backend: args.backend as 'wasm' | 'webgpu' })
const { tensors } = parseSafetensors(await readFile(path.join(catalog, 'model.safetensors')))
const model = new DiffusionModel(engine, config, (name) => {
  const found = tensors.get(name)
  return found && { shape: found.shape, values: toFloat32(found) }
})
const pictures = await readLabPictures(args.data, captions)
const held = pictures.filter(({ split }) => split !== 'train')
const ours = pictures.filter(({ split }) => split === 'train')
const everyone = [...new Set(ours.map(({ category }) => category))].sort()
const categories = everyone.filter((name) => args.clients?.split(',').includes(name) ?? true)
note(
  `${ours.length} pictures to train on, ${held.length} held out; ${engine.device}, ${engine.backend}; ${out}`,
)

/** As the reference run: the learning rate is constant, then linear to zero over the second half. */
const warmupSteps = Math.min(10, steps)
const recipe: Recipe = {
  steps,
  batch: 16,
  tokens: 1,
  learningRate: 1e-3,
  warmupSteps,
  holdSteps: Math.max(0, Math.floor(steps / 2) - warmupSteps),
  weightDecay: 0,
  maxNorm: 0,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  evaluateEvery: steps,
}

/** Where everybody begins: A normal with deviation 1 / sqrt(in), B = 0. */
function startAdapter(): Adapter {
  const modules = projections(config).map((module): LoraFactors => {
    const { name, inFeatures, outFeatures } = module
    const a = normalNoise(`emoji ${args.seed}`, loraA(name), RANK * inFeatures)
    return {
      ...module,
      rank: RANK,
      alpha: ALPHA,
      a: a.map((value) => value / Math.sqrt(inFeatures)),
      b: new Float32Array(outFeatures * RANK),
    }
  })
  return { modules: new Map(modules.map((factors) => [factors.name, factors])) }
}

const file = (name: string) => path.join(out, name)
const kept = (name: string) => readFile(file(name)).catch(() => undefined)
async function keep(name: string, bytes: Uint8Array | string): Promise<void> {
  await writeFile(file(`${name}.partial`), bytes)
  await rename(file(`${name}.partial`), file(name))
}

const last = args['without-pooled'] ? [] : ['pooled']
const runs = [...categories, ...last]
const measurements = ['base', ...runs, ...SCALES.map((scale) => `merged x${scale}`)]
const started = performance.now()
/** Of the work done since the start and what is left, in passes: a training step is three a picture. */
let workDone = 0
let workLeft = runs.length * steps * recipe.batch * 3 + measurements.length * held.length * 4

function did(passes: number, what: string): void {
  workDone += passes
  workLeft -= passes
  const left = ((performance.now() - started) / 1000 / workDone) * workLeft
  note(`${what}; ${Math.round(left / 60)} min left`)
}

async function trained(name: string): Promise<Adapter> {
  const [weights, configJson] = [await kept(`${name}.safetensors`), await kept(`${name}.json`)]
  if (weights && configJson) {
    workLeft -= steps * recipe.batch * 3
    return readPeftAdapter(configJson, weights)
  }
  const own = ours.filter(({ category }) => name === 'pooled' || category === name)
  const checkpoint = await kept(`${name}.checkpoint`)
  const resume = checkpoint && decodeCheckpoint(checkpoint)
  if (resume) workLeft -= resume.step * recipe.batch * 3
  const training = train({
    model,
    initial: startAdapter(),
    examples: own.map(({ example }) => example),
    heldOut: [],
    recipe,
    seed: `emoji ${args.seed} ${name}`,
    ...(resume && { resume }),
    checkpoints: {
      everyMs: CHECKPOINT_MS,
      save: (state) => keep(`${name}.checkpoint`, encodeCheckpoint(state)),
    },
  })
  let last = resume?.step ?? 0
  for (;;) {
    const next = await training.next()
    if (next.done) {
      const files = writePeftAdapter(next.value.adapter, 'emoji-dit')
      await keep(`${name}.safetensors`, files['adapter_model.safetensors'])
      await keep(`${name}.json`, files['adapter_config.json'])
      await rm(file(`${name}.checkpoint`), { force: true })
      return next.value.adapter
    }
    const { step, loss } = next.value
    if (step % 10 === 0 || step === steps) {
      did((step - last) * recipe.batch * 3, `${name}: step ${step} of ${steps}, loss ${loss.toFixed(4)}`)
      last = step
    }
  }
}

const losses: Record<string, Losses> = {}
async function measured(name: string, adapter: Adapter | null): Promise<void> {
  const key = `loss ${name}.json`
  const known = await kept(key)
  if (known) {
    losses[name] = JSON.parse(known.toString())
    workLeft -= held.length * 4
    return
  }
  losses[name] = await pictureLosses(model, adapter, held, () => {})
  await keep(key, JSON.stringify(losses[name]))
  did(held.length * 4, `${name}: ${losses[name].all.toFixed(4)} on the held-out pictures`)
}

if (args.only !== undefined) {
  const wanted = args.only.split(',')
  const unknown = wanted.find((name) => !runs.includes(name))
  if (unknown !== undefined) {
    note(`There is no client ${unknown}: ${runs.join(', ')}.`)
    process.exit(2)
  }
  workLeft = wanted.length * (steps * recipe.batch * 3 + held.length * 4)
  for (const name of wanted) await measured(name, await trained(name))
  process.stdout.write(args.json ? `${JSON.stringify({ finished: wanted })}\n` : '')
  process.exit(0)
}

await measured('base', null)
const adapters: Adapter[] = []
for (const name of categories) {
  adapters.push(await trained(name))
  await measured(name, adapters.at(-1)!)
}
const counts = Object.fromEntries(
  categories.map((name) => [name, ours.filter(({ category }) => category === name).length]),
)
const merged = mergeAdapters({
  strategy: { id: 'florist', tau: 0.999 },
  weights: categories.map((name) => counts[name]),
  adapters,
})
for (const scale of SCALES) await measured(`merged x${scale}`, scaledAdapter(merged, scale))
for (const name of last) await measured(name, await trained(name))

const result: Result = {
  seed: args.seed,
  steps,
  batch: recipe.batch,
  rank: RANK,
  alpha: ALPHA,
  learningRate: recipe.learningRate,
  device: engine.device,
  clients: counts,
  heldOut: held.length,
  mergedRank: Math.max(...[...merged.modules.values()].map(({ rank }) => rank)),
  loss: losses,
}
await keep('result.json', JSON.stringify(result, null, 1))
process.stdout.write(args.json ? `${JSON.stringify(result)}\n` : `${resultTable(result)}\n`)
process.exit(0)
