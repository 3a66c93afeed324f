/** The planner's numbers against an engine's own, and what it says where there is too little room. */
import { describe, expect, it } from 'vitest'
import { initialAdapter } from '../adapters/initial.ts'
import { createNodeEngine } from '../backend/node.ts'
import { wholeFile } from '../formats/byte-source.ts'
import { PlanEngine } from '../plan/plan-engine.ts'
import { fixtureBytes, modelFiles } from '../testing/fixtures.ts'
import { onEveryExecutor } from '../testing/on-every-engine.ts'
import { withSmolLm2 } from '../testing/smollm2.ts'
import { placeAdapter } from '../training/engine-adapter.ts'
import { Evaluator } from '../training/evaluate.ts'
import { TrainingStep } from '../training/step.ts'
import { catalog, findModel } from './catalog.ts'
import { loadModel } from './load.ts'
import { readModelOutline } from './model-files.ts'
import { checkRoom, MemoryPlanner, type Work } from './planner.ts'

const sources = (files: ReadonlyMap<string, Uint8Array>) =>
  new Map([...files].map(([name, bytes]) => [name, wholeFile(bytes)]))
const tiny = await readModelOutline(sources(modelFiles('tiny')))
const work = { batch: 2, tokens: 64, rank: 4 }

onEveryExecutor('the planner', (engine, { executor }) => {
  const models: [string, ReadonlyMap<string, Uint8Array>][] = [
    ['nano in mixed types', new Map([['nano-mixed.gguf', fixtureBytes('gguf/nano-mixed.gguf')]])],
  ]
  // A software adapter compiles the embedded model's kernels for ten seconds.
  if (executor === 'eager' || process.env.ONEROUND_FULL === '1') models.push(['tiny', modelFiles('tiny')])
  it.each(models)('knows what %s takes', async (_, files) => {
    const outline = await readModelOutline(sources(files))
    const need = await new MemoryPlanner(outline, engine().executor).need(work)
    const before = engine().memory().bytes
    const { model, dispose } = loadModel(engine(), files)
    expect(engine().memory().bytes - before).toBe(need.weightBytes)
    if (engine() instanceof PlanEngine) {
      const shape = { rank: 4, alpha: 8, modules: model.modules }
      const adapter = placeAdapter(engine(), initialAdapter(shape, 'seed'))
      const step = await TrainingStep.create(model, adapter, work)
      const evaluation = await Evaluator.create(model, adapter, work)
      // A software adapter runs other kernels than the GPU that the planner has in mind.
      const error = (engine().memory().bytes - before) / need.totalBytes - 1
      expect(Math.abs(error)).toBeLessThan(0.02)
      step.dispose()
      evaluation.dispose()
      adapter.dispose()
    }
    dispose()
  })
})

describe('a verdict', () => {
  const planner = new MemoryPlanner(tiny, 'plan')
  const room = (totalBytes: number | null, largestBytes = 2 ** 31) => ({ largestBytes, totalBytes })

  it('fits where there is room, and where the device does not say how much', async () => {
    const { totalBytes, largestBytes } = await planner.need(work)
    expect(await planner.verdict(work, room(null))).toMatchObject({ fits: true, need: { totalBytes } })
    expect(await planner.verdict(work, room(totalBytes, largestBytes))).toMatchObject({ fits: true })
  })

  it('takes a batch in parts where the whole has no room, and names what a window must be where none has', async () => {
    const large: Work = { batch: 9, tokens: 256, rank: 16 }
    const needs = async (less: Partial<Work>) => (await planner.need({ ...large, ...less })).totalBytes
    for (const windows of [9, 5, 3, 2, 1]) {
      const verdict = await planner.verdict(large, room(await needs({ batch: windows })))
      expect(verdict).toMatchObject({ fits: true, windows })
    }
    for (const less of [{ tokens: 128 }, { tokens: 64, rank: 4 }]) {
      const has = await needs({ batch: 1, ...less })
      const verdict = await planner.verdict(large, room(has))
      const lack = { needed: await needs({ batch: 1 }), has, inOnePiece: false }
      expect(verdict).toMatchObject({ fits: false, lack, instead: { ...large, ...less } })
    }
    const hopeless = await planner.verdict(large, room(1_000_000))
    expect(hopeless).toMatchObject({ fits: false, instead: null })
  })

  it('minds the largest piece as well as the whole', async () => {
    const { largestBytes } = await planner.need({ batch: 1, tokens: 64, rank: 4 })
    const verdict = await planner.verdict({ batch: 8, tokens: 128, rank: 4 }, room(null, largestBytes - 1))
    expect(verdict).toMatchObject({ fits: false, lack: { has: largestBytes - 1, inOnePiece: true } })
  })

  it('is an error for who asked', async () => {
    const device = { executor: 'plan', room: room(9e6) } as const
    await expect(checkRoom(tiny, work, { executor: 'plan', room: room(5e6) })).rejects.toThrow(
      /take a smaller model/,
    )
    await expect(checkRoom(tiny, { batch: 8, tokens: 128, rank: 8 }, device)).rejects.toMatchObject({
      code: 'device/too-little-memory',
      message: expect.stringMatching(/^This needs .* it fits with length \d+ and rank 8\.$/),
    })
    await expect(checkRoom(tiny, work, { executor: 'plan', room: room(null) })).resolves.toBe(2)
  })

  it('for wasm counts float32 weights against what can be addressed', async () => {
    const engine = await createNodeEngine({ backend: 'wasm' })
    expect(engine.room).toEqual({ largestBytes: 2 ** 31 - 1, totalBytes: 2 ** 32 })
    await engine.dispose()
    const big = {
      ...tiny,
      tensors: new Map(tiny.tensors).set('huge', { type: 'Q4_0', shape: [1_200_000, 1024] }),
    }
    const verdict = await new MemoryPlanner(big, 'eager').verdict(work, engine.room)
    expect(verdict).toMatchObject({ fits: false, instead: null })
  })

  it('grows with everything that is asked for', async () => {
    for (const executor of ['plan', 'eager'] as const) {
      const own = new MemoryPlanner(tiny, executor)
      const { totalBytes } = await own.need(work)
      for (const more of [{ batch: 4 }, { tokens: 128 }, { rank: 8 }]) {
        expect((await own.need({ ...work, ...more })).totalBytes).toBeGreaterThan(totalBytes)
      }
      for (const less of [{ rank: null }, { form: 'ffa' }, { form: 'lora-sb' }] as const) {
        expect((await own.need({ ...work, ...less })).totalBytes).toBeLessThan(totalBytes)
      }
    }
  })
})

/** Kernels change, and a few buffers with them. */
const ABOUT = 0.25

async function expectAbout(id: string, outline: Awaited<ReturnType<typeof readModelOutline>>) {
  const { totalBytes } = await new MemoryPlanner(outline, 'plan').need({ batch: 1, tokens: 256, rank: 8 })
  expect(Math.abs(totalBytes / findModel(id)!.trainingBytes - 1)).toBeLessThan(ABOUT)
}

it('the catalog says about what the embedded model takes', () => expectAbout('tiny', tiny))

it('the catalog says so of every model', () => {
  for (const { trainingBytes, files } of catalog) {
    expect(trainingBytes).toBeGreaterThan(files.reduce((sum, { bytes }) => sum + bytes, 0))
  }
})

withSmolLm2('memory of SmolLM2', (source) => {
  it('is about what the catalog says', async () => {
    await expectAbout('smollm2-135m-instruct', await readModelOutline(new Map([['model.gguf', source]])))
  })
})
