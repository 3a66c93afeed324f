/**
 * SwiGLU as part of the products beside it, against the float64 reference op by op: what gate and up make of x, kept and
 * not, and back through the down projection, with low-rank paths, their gradients, and weights stacked and not.
 */
import { expect, it } from 'vitest'
import type { PackedType } from '../../formats/gguf-packed.ts'
import { SizingEngine } from '../../plan/sizing-engine.ts'
import { expectNear } from '../../testing/close.ts'
import { normals } from '../../testing/normals.ts'
import { onEveryEngine } from '../../testing/on-every-engine.ts'
import { packedMatrix } from '../../testing/packed.ts'
import * as reference from '../../testing/reference.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'
import type { Linear } from '../ops.ts'

const TOLERANCE = 2e-5
const HIDDEN = 64
const INNER = 32
const RANK = 4
const SCALE = 1.75
const full = process.env.ONEROUND_FULL === '1'

interface Case {
  readonly rows: number
  readonly stacked: boolean
  readonly lora: boolean
  readonly type?: PackedType
  readonly hidden?: number
  readonly inner?: number
}

const cases: Case[] = [{ rows: 19, stacked: true, lora: true }]

/** Where a software adapter compiles a kernel for seconds. */
const FEW: Case[] = [{ rows: 3, stacked: true, lora: true }]

/** Those that only compile for longer. */
const more: Case[] = [
  { rows: 19, stacked: false, lora: true },
  { rows: 70, stacked: true, lora: true, type: 'Q4_1', inner: 96 },
  { rows: 1, stacked: true, lora: true, type: 'Q4_1', hidden: 256 },
  { rows: 3, stacked: true, lora: false, type: 'Q8_0' },
]

onEveryEngine('swiglu of layers', (engine, { compilesSlowly }) => {
  it.each(full ? [...cases, ...more] : compilesSlowly ? FEW : cases)(
    '%j',
    async ({ rows, stacked, lora, type, ...sizes }) => {
      const { hidden = HIDDEN, inner = INNER } = sizes
      const parts = [
        { out: inner, width: hidden },
        { out: inner, width: hidden },
        { out: hidden, width: inner },
      ].map(({ out, width }, i) => {
        const packed = type && packedMatrix(type, [out, width], 10 + i)
        const weight = packed?.values ?? normals(out * width, 10 + i, 0.2)
        const placed = packed
          ? engine().packed(packed.type, packed.blocks, [out, width])
          : engine().constant(weight, [out, width])
        const [a, b] = [normals(RANK * width, 20 + i, 0.3), normals(out * RANK, 30 + i, 0.3)]
        return { out, width, weight, placed, a, b }
      })
      const both = parts.slice(0, 2).map(({ placed }) => placed)
      const weights = [...(stacked ? engine().stack(both) : both), parts[2].placed]
      // Two sets: of gate and up no gradients are asked for.
      const sets = [parts.slice(0, 2), parts.slice(2)].map((own, at) => {
        const set = engine().parameters([
          ...own.map(({ width }, i) => ({ name: `a${i + 2 * at}`, shape: [RANK, width] as const })),
          ...own.map(({ out }, i) => ({ name: `b${i + 2 * at}`, shape: [out, RANK] as const })),
        ])
        const values = own.flatMap(({ a, b }, i) => [
          [`a${i + 2 * at}`, a] as const,
          [`b${i + 2 * at}`, b] as const,
        ])
        set.write(new Map(values))
        return set
      })
      const factor = (name: string) => sets.flatMap((set) => set.parameters.get(name) ?? [])[0]
      const [gateLayer, upLayer, down] = weights.map(
        (weight, i): Linear => ({
          weight,
          ...(lora && { lora: { a: factor(`a${i}`), b: factor(`b${i}`), scale: SCALE } }),
        }),
      )
      const inputs = { x: matrix(rows, hidden, 5), dy: matrix(rows, hidden, 6) }
      const read = ['plain', 'activated', 'gate', 'up', 'dGate', 'dUp'] as const
      const found = await runOps(engine(), inputs, read, (ops, { x, dy }) => {
        const kept = ops.swiglu.ofLayersKept(x, [gateLayer, upLayer])
        return {
          plain: ops.swiglu.ofLayers(x, [gateLayer, upLayer]),
          ...kept,
          ...ops.swiglu.backwardThrough(dy, kept.activated, down, kept.gate, kept.up),
        }
      })
      const plain = parts.map(({ out, width, weight, a, b }) => ({
        ...{ rows, inFeatures: width, outFeatures: out, weight },
        ...(lora && { lora: { rank: RANK, a, b, scale: SCALE } }),
      }))
      const gate = reference.linear(inputs.x.values, plain[0])
      const up = reference.linear(inputs.x.values, plain[1])
      const activated = reference.swiglu(gate, up)
      expectNear(found.gate, gate, TOLERANCE, 'gate')
      expectNear(found.up, up, TOLERANCE, 'up')
      expectNear(found.activated, activated, TOLERANCE, 'activated')
      expectNear(found.plain, activated, TOLERANCE, 'without keeping')
      const through = reference.linearBackward(inputs.dy.values, activated, plain[2])
      const expected = reference.swigluBackward(through.dx, gate, up)
      expectNear(found.dGate, expected.dGate, TOLERANCE, 'dGate')
      expectNear(found.dUp, expected.dUp, TOLERANCE, 'dUp')
      if (lora) {
        const gradients = await sets[1].readGradients()
        expectNear(gradients.get('a2')!, through.da!, TOLERANCE, 'dA of down')
        expectNear(gradients.get('b2')!, through.db!, TOLERANCE, 'dB of down')
      }
      for (const set of sets) set.dispose()
      for (const tensor of weights) engine().free(tensor)
    },
  )
})

it.each([
  ['direct', 16],
  ['workgroup', 16],
  ['workgroup', 1],
] as const)('one dispatch with %s kernels for %i rows', async (style, rows) => {
  const engine = new SizingEngine(style)
  const weights = engine.stack(
    [1, 2].map((seed) => engine.constant(normals(INNER * HIDDEN, seed), [INNER, HIDDEN])),
  )
  const program = await engine.program(
    'case',
    [{ name: 'x', shape: [rows, HIDDEN], dtype: 'float32' }],
    (ops, { x }) => ({ y: ops.swiglu.ofLayers(x, [{ weight: weights[0] }, { weight: weights[1] }]) }),
  )
  expect(program.stats.dispatches).toBe(1)
})
