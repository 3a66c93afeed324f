/**
 * Layers whose weights lie in one stack and factors one after another, against the float64 reference of each by itself:
 * forward and backward, all gradients; with fewer dispatches than layers on the plan engine.
 */
import { expect, it } from 'vitest'
import type { Engine } from '../../backend/engine.ts'
import { createNodeEngine } from '../../backend/node.ts'
import type { PackedType } from '../../formats/gguf-packed.ts'
import { SizingEngine } from '../../plan/sizing-engine.ts'
import { expectNear } from '../../testing/close.ts'
import { normals } from '../../testing/normals.ts'
import { onEveryEngine } from '../../testing/on-every-engine.ts'
import { packedMatrix } from '../../testing/packed.ts'
import * as reference from '../../testing/reference.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'
import type { Factor, Linear, LoraPath } from '../ops.ts'

const TOLERANCE = 1e-5
const WIDTH = 64
const SCALE = 1.75
const full = process.env.ONEROUND_FULL === '1'

interface Case {
  readonly rows: number
  readonly outputs: readonly number[]
  readonly rank: number
  readonly type?: PackedType
  readonly bias?: true
  /** Layers without a low-rank path. */
  readonly without?: readonly number[]
  readonly frozenA?: true
}

const cases: Case[] = [
  { rows: 19, outputs: [32, 16, 16], rank: 4 },
  { rows: 3, outputs: [64, 64, 64], rank: 8, bias: true, without: [1] },
]

/** Where a software adapter compiles a kernel for seconds. */
const FEW: Case[] = [{ rows: 3, outputs: [32, 16, 16], rank: 4 }]

/** Those that only compile for longer. */
const more: Case[] = [
  { rows: 70, outputs: [192, 64, 64], rank: 8, type: 'Q4_1', bias: true },
  { rows: 1, outputs: [128, 128], rank: 4, type: 'Q8_0' },
  { rows: 40, outputs: [64, 128], rank: 12, frozenA: true, type: 'Q4_0' },
  { rows: 130, outputs: [64, 64, 64], rank: 4, without: [0, 2] },
  { rows: 5, outputs: [64, 64], rank: 4, without: [0, 1] },
]

/** The layers as a model places them: weights stacked, As one after another, then Bs. */
function place(engine: Engine, { rows, outputs, rank, type, bias, without, frozenA }: Case) {
  const numbers = outputs.map((out, i) => {
    const packed = type && packedMatrix(type, [out, WIDTH], 10 + i)
    const weight = packed?.values ?? normals(out * WIDTH, 10 + i, 0.3)
    const a = normals(rank * WIDTH, 20 + i, 0.4)
    const b = normals(out * rank, 30 + i, 0.5)
    const lora = without?.includes(i) ? undefined : { rank, a, b, scale: SCALE }
    return { out, packed, weight, lora, bias: bias && normals(out, 40 + i) }
  })
  const weights = engine.stack(
    numbers.map(({ out, packed, weight }) =>
      packed
        ? engine.packed(packed.type, packed.blocks, [out, WIDTH])
        : engine.constant(weight, [out, WIDTH]),
    ),
  )
  const biases = bias && engine.stack(numbers.map(({ out, bias }) => engine.constant(bias!, [out])))
  const having = numbers.flatMap(({ out, lora }, i) => (lora ? [{ out, i }] : []))
  const as = having.map(({ i }) => ({ name: `a${i}`, shape: [rank, WIDTH] as const }))
  const bs = having.map(({ out, i }) => ({ name: `b${i}`, shape: [out, rank] as const }))
  const trained = engine.parameters(frozenA ? bs : [...as, ...bs])
  const frozen = engine.parameters(frozenA ? as : [])
  for (const set of [trained, frozen]) {
    const own = numbers.flatMap(({ lora }, i) =>
      lora ? [[`a${i}`, lora.a] as const, [`b${i}`, lora.b] as const] : [],
    )
    set.write(new Map(own.filter(([name]) => set.parameters.has(name))))
  }
  const factor = (name: string): Factor => {
    const held = frozen.parameters.get(name)
    return held ? { frozen: true, shape: held.shape, value: held.value } : trained.parameters.get(name)!
  }
  const layers = numbers.map(({ lora }, i): Linear => {
    const path: LoraPath | undefined = lora && { a: factor(`a${i}`), b: factor(`b${i}`), scale: SCALE }
    return { weight: weights[i], ...(biases && { bias: biases[i] }), ...(path && { lora: path }) }
  })
  const plain = numbers.map(
    ({ out, weight, lora, bias }): reference.LinearCase => ({
      ...{ rows, inFeatures: WIDTH, outFeatures: out, weight },
      ...(bias && { bias }),
      ...(lora && { lora }),
    }),
  )
  return {
    layers,
    plain,
    trained,
    dispose: () => {
      trained.dispose()
      frozen.dispose()
      for (const tensor of [...weights, ...(biases ?? [])]) engine.free(tensor)
    },
  }
}

onEveryEngine('a stack of layers', (engine, { compilesSlowly }) => {
  it.each(full ? [...cases, ...more] : compilesSlowly ? FEW : cases)('%j', async (given) => {
    const { layers, plain, trained, dispose } = place(engine(), given)
    const x = matrix(given.rows, WIDTH, 5)
    const addTo = matrix(given.rows, WIDTH, 6)
    const dys = given.outputs.map((out, i) => matrix(given.rows, out, 50 + i))
    const inputs: Record<string, typeof x> = { x, addTo }
    dys.forEach((dy, i) => {
      inputs[`dy${i}`] = dy
    })
    const found = await runOps(engine(), inputs, ['dx', ...dys.map((_, i) => `y${i}`)], (ops, tensors) => {
      const results = ops.linear.forwardEach(tensors.x, layers)
      const gradients = dys.map((_, i) => tensors[`dy${i}`])
      return {
        dx: ops.linear.backwardEach(gradients, tensors.x, layers, { addTo: tensors.addTo }),
        ...Object.fromEntries(results.map((result, i) => [`y${i}`, result])),
      }
    })
    let dx = Float64Array.from(addTo.values)
    const gradients = await trained.readGradients()
    plain.forEach((layer, i) => {
      expectNear(found[`y${i}`], reference.linear(x.values, layer), TOLERANCE, `y${i}`)
      const expected = reference.linearBackward(dys[i].values, x.values, layer)
      dx = dx.map((sum, at) => sum + expected.dx[at])
      for (const [name, values] of [
        [`a${i}`, expected.da],
        [`b${i}`, expected.db],
      ] as const) {
        const gradient = gradients.get(name)
        if (gradient) expectNear(gradient, values!, TOLERANCE, name)
      }
    })
    expect([...gradients.keys()].length).toBe(trained.parameters.size)
    expectNear(found.dx, dx, TOLERANCE, 'dx')
    dispose()
  })

  it('frees the memory of a stack with the last of its parts', () => {
    const before = engine().memory()
    const parts = engine().stack([1, 2].map((seed) => engine().constant(normals(64 * 64, seed), [64, 64])))
    const bytes = engine().memory().bytes - before.bytes
    engine().free(parts[0])
    if (engine().executor === 'plan') expect(engine().memory().bytes - before.bytes).toBe(bytes)
    engine().free(parts[1])
    expect(engine().memory()).toEqual(before)
  })
})

it('one dispatch for all, and as many as layers where they do not go together', async () => {
  const engine = new SizingEngine()
  const count = async (outputs: readonly number[]) => {
    const given = { rows: 32, outputs, rank: 4 }
    const { layers } = place(engine, given)
    const inputs = [{ name: 'x', shape: [32, WIDTH], dtype: 'float32' } as const]
    const program = await engine.program('case', inputs, (ops, { x }) => ({
      y: ops.linear.forwardEach(x, layers)[0],
    }))
    return program.stats.dispatches
  }
  // The projection, the product, and the copy of what is read.
  expect(await count([64, 64, 64])).toBe(3)
  // Rows that are no whole vectors.
  expect(await count([66, 66, 66])).toBe(2)
  expect(await count([66, 64, 64])).toBeGreaterThan(1)
})

it('an engine on the processor takes layers one by one', async () => {
  const engine = await createNodeEngine({ backend: 'cpu' })
  const tensors = [1, 2].map((seed) => engine.constant(normals(64, seed), [8, 8]))
  expect(engine.stack(tensors)).toEqual(tensors)
  await engine.dispose()
})
