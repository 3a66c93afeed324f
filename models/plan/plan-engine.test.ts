/**
 * What the plan promises beyond right numbers: nothing is allocated in a replay, nothing is left behind, results
 * repeat to the bit, inputs are checked, and a lost device or a buffer over the limit gets a sentence.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeGpuDevice } from '../backend/node.ts'
import { DeviceError } from '../errors.ts'
import { HYPER, type Ops, type ParameterSet, type Tensor } from '../ops/ops.ts'
import { normals } from '../testing/normals.ts'
import { createPlanEngine, type PlanEngine } from './plan-engine.ts'
import type { PlanProgram } from './plan-program.ts'

const ROWS = 12
const WIDTH = 16
const RANK = 4

const hyper = (step: number) => {
  const values = new Float32Array(8)
  values[HYPER.learningRate] = 0.01
  values[HYPER.beta1] = 0.9
  values[HYPER.beta2] = 0.999
  values[HYPER.epsilon] = 1e-8
  values[HYPER.correction1] = 1 - 0.9 ** step
  values[HYPER.correction2] = 1 - 0.999 ** step
  values[HYPER.maxNorm] = 1
  return values
}

/** One layer trained to copy its input: small, but with every kind of memory a real step has. */
function smallStep(engine: PlanEngine, weight: Tensor, set: ParameterSet): Promise<PlanProgram> {
  const lora = { a: set.parameters.get('a')!, b: set.parameters.get('b')!, scale: 2 }
  return engine.program(
    'step',
    [
      { name: 'x', shape: [ROWS, WIDTH], dtype: 'float32' },
      { name: 'hyper', shape: [8], dtype: 'float32' },
    ],
    (ops: Ops, { x, hyper: given }) => {
      const y = ops.linear.forward(x, { weight, lora })
      ops.linear.backward(y, x, { weight, lora }, { needInput: false })
      return { y, norm: ops.adamw(set, given) }
    },
  )
}

function placed(engine: PlanEngine) {
  const weight = engine.constant(normals(WIDTH * WIDTH, 1), [WIDTH, WIDTH])
  const set = engine.parameters([
    { name: 'a', shape: [RANK, WIDTH] },
    { name: 'b', shape: [WIDTH, RANK] },
  ])
  set.write(
    new Map([
      ['a', normals(RANK * WIDTH, 2)],
      ['b', normals(WIDTH * RANK, 3)],
    ]),
  )
  return { weight, set }
}

describe.skipIf(process.env.ONEROUND_TEST_GPU === 'none')('the plan engine', () => {
  let engine: PlanEngine
  beforeAll(async () => {
    engine = createPlanEngine(await openNodeGpuDevice())
  })
  afterAll(() => engine?.dispose())

  it('allocates nothing in a replay and leaves nothing behind', async () => {
    const before = engine.memory()
    const { weight, set } = placed(engine)
    const program = await smallStep(engine, weight, set)
    const x = normals(ROWS * WIDTH, 4)
    await program.run({ x, hyper: hyper(1) }, ['y', 'norm'])
    const afterFirst = engine.memory()
    const dispatched = engine.dispatches
    for (let step = 2; step <= 20; step++) await program.run({ x, hyper: hyper(step) }, ['y', 'norm'])
    expect(engine.memory()).toEqual(afterFirst)
    expect(program.stats.replays).toBe(20)
    expect(engine.dispatches - dispatched).toBe(19 * program.stats.dispatches)
    expect(engine.tfjsOps()).toBe(0)
    program.dispose()
    set.dispose()
    engine.free(weight)
    expect(engine.memory()).toEqual(before)
  })

  it('gives the same bits for the same work', async () => {
    const results: Map<string, Float32Array>[] = []
    for (let attempt = 0; attempt < 2; attempt++) {
      const { weight, set } = placed(engine)
      const program = await smallStep(engine, weight, set)
      const x = normals(ROWS * WIDTH, 5)
      for (let step = 1; step <= 5; step++) await program.run({ x, hyper: hyper(step) })
      results.push(await set.read())
      program.dispose()
      set.dispose()
      engine.free(weight)
    }
    expect(results[0]).toEqual(results[1])
    expect([...results[0].values()].flatMap((values) => [...values]).every(Number.isFinite)).toBe(true)
  })

  it('runs overlapping replays in order', async () => {
    const { weight, set } = placed(engine)
    const program = await smallStep(engine, weight, set)
    const x = normals(ROWS * WIDTH, 6)
    const [first, second] = await Promise.all([
      program.run({ x, hyper: hyper(1) }, ['y']),
      program.run({ x, hyper: hyper(2) }, ['y']),
    ])
    expect(first.y).not.toEqual(second.y)
    program.dispose()
    set.dispose()
    engine.free(weight)
  })

  it('tells where a program spends its time', async () => {
    const { weight, set } = placed(engine)
    const program = await smallStep(engine, weight, set)
    const { kernels, totalMs } = await program.profile({ minMs: 0 })
    const sum = (of: (kernel: (typeof kernels)[number]) => number) =>
      kernels.reduce((total, kernel) => total + of(kernel), 0)
    expect(sum(({ dispatches }) => dispatches)).toBe(program.stats.dispatches)
    expect(sum(({ flops }) => flops)).toBe(program.stats.flops)
    expect(sum(({ ms }) => ms)).toBeCloseTo(totalMs)
    expect(totalMs).toBeGreaterThan(0)
    // x and y, the factors and their gradients are all read or written.
    expect(sum(({ bytes }) => bytes)).toBeGreaterThan(4 * (2 * ROWS * WIDTH + 4 * RANK * WIDTH))
    program.dispose()
    set.dispose()
    engine.free(weight)
  })

  it('refuses inputs that are not the recorded ones', async () => {
    const { weight, set } = placed(engine)
    const program = await smallStep(engine, weight, set)
    await expect(program.run({ x: new Float32Array(3), hyper: hyper(1) })).rejects.toThrow(/input x/)
    await expect(program.run({ hyper: hyper(1) })).rejects.toThrow(/input x/)
    await expect(program.run({ x: normals(ROWS * WIDTH, 1), hyper: hyper(1) }, ['z'])).rejects.toThrow(
      /no output z/,
    )
    program.dispose()
    set.dispose()
    engine.free(weight)
  })

  it('says so when one buffer is more than the device allows', async () => {
    const { device, ...rest } = await openNodeGpuDevice()
    const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize)
    const other = createPlanEngine({ device, ...rest })
    try {
      expect(() => other.kvCache(Math.ceil(limit / 4096) + 1, 1024)).toThrow(DeviceError)
      expect(other.memory().bytes).toBe(0)
    } finally {
      await other.dispose()
    }
  })

  it('names a lost device instead of hanging or returning zeros', async () => {
    const { device, ...rest } = await openNodeGpuDevice()
    const other = createPlanEngine({ device, ...rest })
    const { weight, set } = placed(other)
    const program = await smallStep(other, weight, set)
    device.destroy()
    expect(await other.lost).toMatch(/closed/)
    await expect(program.run({ x: normals(ROWS * WIDTH, 1), hyper: hyper(1) }, ['y'])).rejects.toMatchObject({
      code: 'device/lost',
    })
  })
})
