/** The shared trainer, codec and formats with a model that draws: what they must not know, they do not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { initialAdapter } from '../adapters/initial.ts'
import { adapterChange, decodeUpdate, encodeUpdate } from '../adapters/update-codec.ts'
import type { Engine } from '../backend/engine.ts'
import { createNodeEngine } from '../backend/node.ts'
import { readPeftAdapter, writePeftAdapter } from '../formats/peft.ts'
import { openDiffusionFixture } from '../testing/diffusion-fixtures.ts'
import { fixtures } from '../testing/fixtures.ts'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../training/checkpoint.ts'
import type { PictureExample } from '../training/pictures.ts'
import type { Recipe } from '../training/recipe.ts'
import { evaluate, type TrainResult, train } from '../training/trainer.ts'
import { emptyCaption, measuredPasses, toPixels, toUnit, trainingPasses } from './flow.ts'
import type { DiffusionModel } from './model.ts'
import { projections } from './modules.ts'
import { normalNoise } from './noise.ts'
import { drawPictures } from './sample.ts'

const examples: PictureExample[] = Array.from({ length: 6 }, (_, i) => ({
  counted: 1,
  pixels: Uint8Array.from({ length: 8 * 8 * 3 }, (_, c) => (c * 7 + i * 41) % 256),
  ids: Int32Array.of(1, 2 + i, 3, 0, 0),
}))

const recipe: Recipe = {
  steps: 6,
  batch: 4,
  tokens: 9,
  learningRate: 5e-3,
  warmupSteps: 1,
  holdSteps: 2,
  weightDecay: 0,
  maxNorm: 1,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  evaluateEvery: 3,
}

let engine: Engine
let model: DiffusionModel
beforeAll(async () => {
  engine = await createNodeEngine({ backend: 'wasm' })
  model = openDiffusionFixture(engine, fixtures, 'emoji-dit-nano')
})
afterAll(() => engine.dispose())

const start = () => initialAdapter({ rank: 2, alpha: 4, modules: projections(model.config) }, 'seed')

async function run(options: { resume?: Checkpoint; stopAt?: number; microBatch?: number } = {}) {
  let kept: Checkpoint | undefined
  const { resume, microBatch } = options
  const training = train({
    model,
    initial: start(),
    examples,
    heldOut: examples.slice(0, 2),
    recipe,
    seed: 'mine',
    microBatch,
    ...(resume && { resume }),
    checkpoints: {
      everyMs: 0,
      save(checkpoint) {
        if (checkpoint.step === options.stopAt) kept = decodeCheckpoint(encodeCheckpoint(checkpoint))
      },
    },
  })
  let result: TrainResult | undefined
  for (;;) {
    const next = await training.next()
    if (next.done) {
      result = next.value
      break
    }
  }
  return { result: result!, kept }
}

const flat = ({ adapter }: TrainResult) => [...adapter.modules.values()].flatMap(({ a, b }) => [...a, ...b])

describe('training', () => {
  it('repeats to the bit, and goes on to the same bits from a checkpoint', async () => {
    const whole = await run({ stopAt: 2 })
    expect(flat((await run()).result)).toEqual(flat(whole.result))
    expect(flat((await run({ resume: whole.kept! })).result)).toEqual(flat(whole.result))
    expect(whole.result.best.heldOutLoss).toBeLessThan(whole.result.startLoss!)
  })

  it('learns the same from a batch in parts', async () => {
    const [whole, parts] = [flat((await run()).result), flat((await run({ microBatch: 2 })).result)]
    const apart = Math.max(...whole.map((entry, i) => Math.abs(entry - parts[i])))
    expect(apart).toBeLessThan(1e-4)
  })

  it('measures the same whatever the order and the batch', async () => {
    const shape = (batch: number) => ({ batch, tokens: 9 })
    const { loss, counted } = await evaluate(model, null, examples, shape(4))
    const turned = await evaluate(model, null, [...examples].reverse(), shape(3))
    expect(counted).toBe(4 * examples.length)
    expect(turned.loss).toBeCloseTo(loss, 6)
  })
})

describe('what a step sees', () => {
  const passes = (seed: string, step: number) => trainingPasses(model.config, examples, seed, step)

  it('depends on seed, step and place alone', () => {
    const times = (seed: string, step: number) => passes(seed, step).map(({ pass }) => pass!.time)
    expect(times('a', 1)).toEqual(times('a', 1))
    expect(times('a', 2)).not.toEqual(times('a', 1))
    expect(times('b', 1)).not.toEqual(times('a', 1))
    expect(passes('a', 1)[0].pass!.noise()).toEqual(passes('a', 1)[0].pass!.noise())
    expect(passes('a', 1)[0].pass!.noise()).not.toEqual(passes('a', 1)[1].pass!.noise())
  })

  it('draws times between noise and picture, and drops one caption in ten', () => {
    const all = Array.from({ length: 400 }, (_, step) => passes('many', step)).flat()
    const times = all.map(({ pass }) => pass!.time)
    expect(Math.min(...times)).toBeGreaterThan(0)
    expect(Math.max(...times)).toBeLessThan(1)
    // The logistic of a normal's mean: half the times are below it.
    const below = times.filter((time) => time < 1 / (1 + Math.exp(0.3))).length / times.length
    expect(below).toBeCloseTo(0.5, 1)
    const empty = emptyCaption(model.config)
    const dropped = all.filter(({ ids }) => ids.join() === empty.join()).length / all.length
    expect(dropped).toBeGreaterThan(0.07)
    expect(dropped).toBeLessThan(0.13)
  })

  it('is the same for the same picture whenever it is measured', () => {
    const alone = measuredPasses([examples[3]])
    const among = measuredPasses(examples).slice(12, 16)
    expect(alone.map(({ pass }) => [pass!.time, ...pass!.noise()])).toEqual(
      among.map(({ pass }) => [pass!.time, ...pass!.noise()]),
    )
  })

  it('draws normal noise', () => {
    const noise = normalNoise('seed', 'label', 20_000)
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length
    const variance = noise.reduce((sum, value) => sum + value ** 2, 0) / noise.length
    expect(Math.abs(mean)).toBeLessThan(0.03)
    expect(Math.abs(variance - 1)).toBeLessThan(0.04)
  })

  it('takes pixels to numbers and back', () => {
    const pixels = Uint8Array.from({ length: 256 }, (_, i) => i)
    expect(toPixels(toUnit(pixels))).toEqual(pixels)
    expect([...toPixels(Float32Array.of(-9, 9, Number.NEGATIVE_INFINITY))]).toEqual([0, 255, 0])
  })
})

describe('adapters', () => {
  it('come back from a PEFT folder under the names they had', () => {
    for (const name of ['lora', 'lora-all']) {
      const adapter = fixtures.adapter(`emoji-dit-nano/${name}`)
      const files = writePeftAdapter(adapter, 'emoji-dit')
      const back = readPeftAdapter(files['adapter_config.json'], files['adapter_model.safetensors'])
      expect([...back.modules.keys()].sort()).toEqual([...adapter.modules.keys()].sort())
      for (const [module, factors] of adapter.modules) {
        expect(back.modules.get(module)).toEqual(factors)
        expect(module).toMatch(/^base_model\.model\.layers\.\d+\./)
      }
    }
  })

  it('travel as updates', async () => {
    const { result } = await run()
    const shape = { rank: 2, alpha: 4, modules: projections(model.config) }
    const change = adapterChange(result.adapter, start(), 'lora')
    const bytes = encodeUpdate({
      change,
      shape,
      manifestDigest: '0'.repeat(64),
      examples: 6,
      encoding: 'f32',
      seed: 'x',
      start: null,
    })
    const decoded = decodeUpdate(bytes, { shape })
    for (const [name, values] of change) expect(decoded.change.get(name)).toEqual(values)
  })
})

it('draws the same from the same noise, however many are drawn at once', async () => {
  const options = (count: number) => ({
    model,
    adapter: null,
    captions: examples.slice(0, count).map(({ ids }) => ids),
    noise: Array.from({ length: count }, (_, i) => normalNoise('draw', `${i}`, 8 * 8 * 3)),
    steps: 3,
    guidance: 2,
  })
  const [alone] = await drawPictures(options(1))
  const several = await drawPictures(options(5))
  expect(several).toHaveLength(5)
  expect(Math.max(...several[0].map((pixel, i) => Math.abs(pixel - alone[i])))).toBeLessThanOrEqual(1)
  const aborted = AbortSignal.abort(new Error('enough'))
  await expect(drawPictures({ ...options(1), signal: aborted })).rejects.toThrow('enough')
})
