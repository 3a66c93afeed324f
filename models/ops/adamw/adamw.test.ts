/** AdamW and the parameter set on every engine against the float64 reference: several steps, clipped and not. */
import { describe, expect, it } from 'vitest'
import type { Engine } from '../../backend/engine.ts'
import { expectNear, expectWithin } from '../../testing/close.ts'
import { normals } from '../../testing/normals.ts'
import { onEveryEngine } from '../../testing/on-every-engine.ts'
import * as reference from '../../testing/reference.ts'
import { runOps } from '../../testing/run-ops.ts'
import { HYPER, type ParameterSet, type Tensor } from '../ops.ts'

const base = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, maxNorm: 1 }

export function hyperVector(hyper: reference.AdamWHyper, step: number): Float32Array {
  const vector = new Float32Array(8)
  vector[HYPER.learningRate] = hyper.learningRate
  vector[HYPER.beta1] = hyper.beta1
  vector[HYPER.beta2] = hyper.beta2
  vector[HYPER.epsilon] = hyper.epsilon
  vector[HYPER.weightDecay] = hyper.weightDecay
  vector[HYPER.correction1] = 1 - hyper.beta1 ** step
  vector[HYPER.correction2] = 1 - hyper.beta2 ** step
  vector[HYPER.maxNorm] = hyper.maxNorm
  return vector
}

const IN = 13
const OUT = 29
const RANK = 3
const ROWS = 5

/** One linear layer's gradients for input seeds `step`, then one optimiser step; returns the norm. */
async function step(
  engine: Engine,
  set: ParameterSet,
  weight: Float32Array,
  hyper: reference.AdamWHyper,
  at: number,
) {
  const constant = engine.constant(weight, [OUT, IN])
  const inputs = {
    x: { values: normals(ROWS * IN, 100 + at), shape: [ROWS, IN] },
    dy: { values: normals(ROWS * OUT, 200 + at), shape: [ROWS, OUT] },
    hyper: { values: hyperVector(hyper, at), shape: [8] },
  }
  const lora = { a: set.parameters.get('a')!, b: set.parameters.get('b')!, scale: 2 }
  const { norm } = await runOps(engine, inputs, ['norm'], (ops, given) => {
    ops.linear.backward(given.dy, given.x, { weight: constant, lora }, { needInput: false })
    return { norm: ops.adamw(set, given.hyper) }
  })
  engine.free(constant)
  return norm[0]
}

onEveryEngine('adamw', (engine) => {
  const weight = normals(OUT * IN, 1)
  const start = { a: normals(RANK * IN, 2), b: normals(OUT * RANK, 3) }

  function newSet(): ParameterSet {
    const set = engine().parameters([
      { name: 'a', shape: [RANK, IN] },
      { name: 'b', shape: [OUT, RANK] },
    ])
    set.write(new Map(Object.entries(start)))
    return set
  }

  describe.each([
    ['clipped', base],
    ['not clipped', { ...base, maxNorm: 0 }],
    ['below the clip', { ...base, maxNorm: 1e6 }],
    ['without decay', { ...base, weightDecay: 0, learningRate: 0.1 }],
  ])('%s', (_, hyper) => {
    it('five steps as the reference', async () => {
      const set = newSet()
      const values = Float64Array.of(...start.a, ...start.b)
      const first = new Float64Array(values.length)
      const second = new Float64Array(values.length)
      for (let at = 1; at <= 5; at++) {
        const norm = await step(engine(), set, weight, hyper, at)
        const { da, db } = reference.linearBackward(
          normals(ROWS * OUT, 200 + at),
          normals(ROWS * IN, 100 + at),
          {
            rows: ROWS,
            inFeatures: IN,
            outFeatures: OUT,
            weight,
            lora: { rank: RANK, a: values.subarray(0, RANK * IN), b: values.subarray(RANK * IN), scale: 2 },
          },
        )
        const expected = reference.adamw(values, first, second, Float64Array.of(...da!, ...db!), at, hyper)
        expect(norm / expected).toBeCloseTo(1, 5)
      }
      const read = await set.read()
      const moments = await set.readMoments()
      const joined = (map: Map<string, Float32Array>) => [...map.get('a')!, ...map.get('b')!]
      // Early steps move every entry by about the learning rate, whatever rounding its gradient has.
      expectWithin(joined(read), values, 1e-3 * hyper.learningRate, 'values')
      expectNear(joined(moments.first), first, 1e-4, 'first moments')
      expectNear(joined(moments.second), second, 1e-4, 'second moments')
      set.dispose()
    })
  })

  it('goes on from written values and moments to the same bits', async () => {
    const straight = newSet()
    for (let at = 1; at <= 4; at++) await step(engine(), straight, weight, base, at)
    const before = newSet()
    for (let at = 1; at <= 2; at++) await step(engine(), before, weight, base, at)
    const values = await before.read()
    const { first, second } = await before.readMoments()
    before.dispose()
    const after = newSet()
    after.write(values)
    after.writeMoments(first, second)
    for (let at = 3; at <= 4; at++) await step(engine(), after, weight, base, at)
    expect(await after.read()).toEqual(await straight.read())
    expect(await after.readMoments()).toEqual(await straight.readMoments())
    straight.dispose()
    after.dispose()
  })

  it('keeps what is not written, of values and of moments', async () => {
    const set = newSet()
    await step(engine(), set, weight, base, 1)
    const [values, moments] = [await set.read(), await set.readMoments()]
    const other = Float32Array.from(start.b, (value) => value + 1)
    set.write(new Map([['b', other]]))
    set.writeMoments(new Map([['b', other]]), new Map())
    expect(await set.read()).toEqual(new Map([...values, ['b', other]]))
    const { first, second } = await set.readMoments()
    expect(first).toEqual(new Map([...moments.first, ['b', other]]))
    expect(second).toEqual(moments.second)
    set.dispose()
  })

  it('steps from gradients summed over parts as from those of the whole batch', async () => {
    const shares = [0.5, 0.2, 0.3]
    const layer = (set: ParameterSet, constant: Tensor) => ({
      weight: constant,
      lora: { a: set.parameters.get('a')!, b: set.parameters.get('b')!, scale: 2 },
    })
    const constant = engine().constant(weight, [OUT, IN])
    const set = newSet()
    const values = Float64Array.of(...start.a, ...start.b)
    const first = new Float64Array(values.length)
    const second = new Float64Array(values.length)
    // The second batch finds what the first has left behind.
    for (const at of [1, 2]) {
      const total = new Float64Array(values.length)
      for (const [part, share] of shares.entries()) {
        const inputs = {
          x: { values: normals(ROWS * IN, 100 * at + part), shape: [ROWS, IN] },
          dy: { values: normals(ROWS * OUT, 200 * at + part), shape: [ROWS, OUT] },
          factors: { values: Float32Array.of(part === 0 ? 0 : 1, share), shape: [2] },
        }
        await runOps(engine(), inputs, ['x'], (ops, { x, dy, factors }) => {
          ops.linear.backward(dy, x, layer(set, constant), { needInput: false })
          ops.accumulate(set, factors)
          return { x: ops.add(x, x) }
        })
        const { da, db } = reference.linearBackward(inputs.dy.values, inputs.x.values, {
          rows: ROWS,
          inFeatures: IN,
          outFeatures: OUT,
          weight,
          lora: { rank: RANK, a: values.subarray(0, RANK * IN), b: values.subarray(RANK * IN), scale: 2 },
        })
        Float64Array.of(...da!, ...db!).forEach((gradient, i) => {
          total[i] += share * gradient
        })
      }
      const hyper = { values: hyperVector(base, at), shape: [8] }
      const { norm } = await runOps(engine(), { hyper }, ['norm'], (ops, given) => ({
        norm: ops.adamw(set, given.hyper, { accumulated: true }),
      }))
      expect(norm[0] / reference.adamw(values, first, second, total, at, base)).toBeCloseTo(1, 5)
    }
    const read = await set.read()
    const joined = [...read.get('a')!, ...read.get('b')!]
    expectWithin(joined, values, 1e-3 * base.learningRate, 'values')
    set.dispose()
    engine().free(constant)
  })

  it('refuses unknown names and wrong lengths', () => {
    const set = newSet()
    expect(() => set.write(new Map([['c', new Float32Array(3)]]))).toThrow(/c/)
    expect(() => set.write(new Map([['a', new Float32Array(3)]]))).toThrow(/a/)
    set.dispose()
  })
})
