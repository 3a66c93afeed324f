/**
 * Ops whose weight comes packed, on every engine, against the float64 reference on the dequantised weight; and what
 * a packed weight costs in memory on the plan engine.
 */
import { describe, expect, it } from 'vitest'
import { PACKED_TYPES, type PackedType, packedBytes } from '../formats/gguf-packed.ts'
import { PlanEngine } from '../plan/plan-engine.ts'
import { expectNear } from '../testing/close.ts'
import { normals } from '../testing/normals.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import { packedMatrix } from '../testing/packed.ts'
import * as reference from '../testing/reference.ts'
import { ids, matrix, runOps } from '../testing/run-ops.ts'

/** Of the largest entry, as for plain weights. */
const TOLERANCE = 1e-5
/** Every way that numbers are unpacked and scaled has one of these; the full tests take every op with every type. */
const REPRESENTATIVE: readonly PackedType[] = ['Q4_1', 'Q8_0', 'F16', 'Q6_K']
const WITH_EVERY_OP = process.env.ONEROUND_FULL === '1' ? PACKED_TYPES : REPRESENTATIVE
/** The same for kernels that a software adapter compiles slowly: codes of four bits with two numbers a block, and of the K kind. */
const FEW: readonly PackedType[] = ['Q4_1', 'Q6_K']

interface Case {
  readonly rows: number
  readonly inFeatures: number
  readonly outFeatures: number
  readonly rank: number
  readonly extras: boolean
}

const small: Case = { rows: 17, inFeatures: 32, outFeatures: 97, rank: 3, extras: true }
// One for each way a kernel is written: one row, tiles that hang over, a sum shared out both forward and back. The
// ways differ little between types, and a software adapter compiles each for seconds.
const others: Case[] = [
  { rows: 1, inFeatures: 64, outFeatures: 44, rank: 0, extras: false },
  { rows: 70, inFeatures: 96, outFeatures: 66, rank: 4, extras: true },
  { rows: 3, inFeatures: 288, outFeatures: 260, rank: 8, extras: false },
]
const isK = (type: PackedType) => type.endsWith('_K')
const casesOf = (type: PackedType, compilesSlowly?: true) => {
  const one = isK(type) ? { ...small, inFeatures: 256 } : small
  return type === 'Q4_1' && !compilesSlowly ? [one, ...others] : [one]
}

onEveryEngine('packed weights', (engine, { compilesSlowly }) => {
  const types = compilesSlowly ? FEW : PACKED_TYPES
  const given = types.flatMap((type) =>
    casesOf(type, compilesSlowly).map((one) => [type, one.rows, one.inFeatures, one] as const),
  )

  it.each(given)(
    'linear, %s, %i rows of %i',
    async (type, rows, inFeatures, { outFeatures, rank, extras }) => {
      const { blocks, values } = packedMatrix(type, [outFeatures, inFeatures], 1)
      const weight = engine().packed(type, blocks, [outFeatures, inFeatures])
      const [a, b] = [normals(rank * inFeatures, 3, 0.4), normals(outFeatures * rank, 4, 0.5)]
      const biases = normals(outFeatures, 5)
      const bias = engine().constant(biases, [outFeatures])
      const set = engine().parameters(
        rank > 0
          ? [
              { name: 'a', shape: [rank, inFeatures] },
              { name: 'b', shape: [outFeatures, rank] },
            ]
          : [],
      )
      if (rank > 0) set.write(new Map(Object.entries({ a, b })))
      const scale = 1.75
      const layer = {
        weight,
        ...(extras && { bias }),
        ...(rank > 0 && { lora: { a: set.parameters.get('a')!, b: set.parameters.get('b')!, scale } }),
      }
      const inputs = {
        x: matrix(rows, inFeatures, 6),
        dy: matrix(rows, outFeatures, 7),
        residual: matrix(rows, outFeatures, 8),
        addTo: matrix(rows, inFeatures, 9),
      }
      const { y, dx } = await runOps(engine(), inputs, ['y', 'dx'], (ops, { x, dy, residual, addTo }) => ({
        y: ops.linear.forward(x, layer, extras ? { residual } : {}),
        dx: ops.linear.backward(dy, x, layer, extras ? { addTo } : {}),
      }))
      const plain: reference.LinearCase = {
        rows,
        inFeatures,
        outFeatures,
        weight: values,
        ...(extras && { bias: biases }),
        ...(rank > 0 && { lora: { rank, a, b, scale } }),
      }
      const [x, dy] = [inputs.x.values, inputs.dy.values]
      const residual = extras ? inputs.residual.values : undefined
      expectNear(y, reference.linear(x, plain, residual), TOLERANCE, 'y')
      const expected = reference.linearBackward(dy, x, plain, extras ? inputs.addTo.values : undefined)
      expectNear(dx, expected.dx, TOLERANCE, 'dx')
      if (rank > 0) {
        const gradients = await set.readGradients()
        expectNear(gradients.get('a')!, expected.da!, TOLERANCE, 'dA')
        expectNear(gradients.get('b')!, expected.db!, TOLERANCE, 'dB')
      }
      set.dispose()
      engine().free(weight)
      engine().free(bias)
    },
  )

  describe.each(types)('%s', (type) => {
    it('embedding, to the bit', async () => {
      const [vocabulary, width] = [97, isK(type) ? 256 : 96]
      const { blocks, values } = packedMatrix(type, [vocabulary, width], 1)
      const table = engine().packed(type, blocks, [vocabulary, width])
      const every = { values: Int32Array.from({ length: vocabulary }, (_, id) => id), shape: [vocabulary] }
      const { y } = await runOps(engine(), { every }, ['y'], (ops, given) => ({
        y: ops.embedding(given.every, table),
      }))
      // A zero may lose its sign on a GPU.
      expect(y.map((weight) => weight + 0)).toEqual(values.map((weight) => weight + 0))
      engine().free(table)
    })

    it.runIf(WITH_EVERY_OP.includes(type))('linearCrossEntropy', async () => {
      const [rows, width, vocabulary] = [19, isK(type) ? 256 : 32, 97]
      const { blocks, values } = packedMatrix(type, [vocabulary, width], 1)
      const weight = engine().packed(type, blocks, [vocabulary, width])
      const inputs = {
        x: matrix(rows, width, 2, 2),
        targets: ids(rows, 3, vocabulary),
        rowWeights: { values: normals(rows, 4).map(Math.abs), shape: [rows] },
      }
      const { nll, dx } = await runOps(engine(), inputs, ['nll', 'dx'], (ops, { x, targets, rowWeights }) =>
        ops.linearCrossEntropy.forwardBackward(x, weight, targets, rowWeights),
      )
      const expected = reference.linearCrossEntropy(
        inputs.x.values,
        values,
        inputs.targets.values,
        inputs.rowWeights.values,
        rows,
        width,
        vocabulary,
      )
      expectNear(nll, expected.nll, TOLERANCE, 'nll')
      expectNear(dx, expected.dx, TOLERANCE, 'dx')
      engine().free(weight)
    })

    it.runIf(WITH_EVERY_OP.includes(type))('lastRowLogits', async () => {
      const [rows, width, vocabulary] = [5, isK(type) ? 512 : 288, 97]
      const { blocks, values } = packedMatrix(type, [vocabulary, width], 1)
      const weight = engine().packed(type, blocks, [vocabulary, width])
      const inputs = { x: matrix(rows, width, 2) }
      const { y } = await runOps(engine(), inputs, ['y'], (ops, { x }) => ({
        y: ops.lastRowLogits(x, weight),
      }))
      const last = inputs.x.values.subarray((rows - 1) * width)
      const head = reference.transposed(values, vocabulary, width)
      expectNear(y, reference.product(last, head, 1, width, vocabulary), TOLERANCE, 'logits')
      engine().free(weight)
    })

    it('is one tensor that stays packed on the plan engine, and is freed whole', () => {
      const shape = [96, 256] as const
      const { blocks } = packedMatrix(type, shape, 1)
      const before = engine().memory()
      const weight = engine().packed(type, blocks, shape)
      const held = engine().memory()
      expect(held.tensors - before.tensors).toBe(1)
      const packedHere = engine() instanceof PlanEngine
      const { codes, scales } = packedBytes(type, 96 * 256)
      expect(held.bytes - before.bytes).toBe(packedHere ? codes + scales : 4 * 96 * 256)
      expect([weight.shape, weight.dtype]).toEqual([shape, 'float32'])
      engine().free(weight)
      expect(engine().memory()).toEqual(before)
    })

    it('refuses bytes that are not the matrix', () => {
      const { blocks } = packedMatrix(type, [2, 256], 1)
      expect(() => engine().packed(type, blocks, [3, 256])).toThrow(RangeError)
    })
  })
})
