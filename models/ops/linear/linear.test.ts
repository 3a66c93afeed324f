/** The linear op on every engine against the float64 reference: odd shapes, every option given and not. */
import { describe, expect, it } from 'vitest'
import { expectNear } from '../../testing/close.ts'
import { normals } from '../../testing/normals.ts'
import { onEveryEngine } from '../../testing/on-every-engine.ts'
import * as reference from '../../testing/reference.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'
import type { Linear, LoraPath } from '../ops.ts'

/** Of the largest entry: float32 sums of up to a few hundred terms. */
const TOLERANCE = 1e-5

interface Case {
  readonly rows: number
  readonly inFeatures: number
  readonly outFeatures: number
  readonly rank: number
  readonly options?: { bias?: true; residual?: true; addTo?: true }
  /** Which of A, B and R are trained; there is an R where it is named. Default: A and B. */
  readonly trained?: 'b' | 'r' | 'a' | 'abr' | 'br'
}

const cases: Case[] = [
  { rows: 1, inFeatures: 30, outFeatures: 44, rank: 1, options: { bias: true } },
  { rows: 17, inFeatures: 32, outFeatures: 48, rank: 4, options: { residual: true, addTo: true } },
  { rows: 34, inFeatures: 30, outFeatures: 36, rank: 8, options: { bias: true, residual: true } },
  { rows: 5, inFeatures: 44, outFeatures: 30, rank: 3, options: { addTo: true } },
  { rows: 2, inFeatures: 7, outFeatures: 1, rank: 2, options: { residual: true, addTo: true } },
  { rows: 33, inFeatures: 192, outFeatures: 64, rank: 5, options: { addTo: true } },
  { rows: 19, inFeatures: 13, outFeatures: 97, rank: 7, options: { bias: true } },
  { rows: 64, inFeatures: 64, outFeatures: 64, rank: 6 },
  { rows: 130, inFeatures: 66, outFeatures: 70, rank: 16, options: { bias: true, addTo: true } },
  {
    rows: 17,
    inFeatures: 31,
    outFeatures: 29,
    rank: 0,
    options: { bias: true, residual: true, addTo: true },
  },
  { rows: 1, inFeatures: 32, outFeatures: 97, rank: 0 },
  { rows: 17, inFeatures: 31, outFeatures: 50, rank: 4, options: { addTo: true }, trained: 'b' },
  { rows: 5, inFeatures: 31, outFeatures: 50, rank: 3, trained: 'a' },
  {
    rows: 33,
    inFeatures: 44,
    outFeatures: 36,
    rank: 8,
    options: { bias: true, residual: true },
    trained: 'r',
  },
  { rows: 1, inFeatures: 30, outFeatures: 29, rank: 3, options: { addTo: true }, trained: 'r' },
  { rows: 12, inFeatures: 20, outFeatures: 33, rank: 5, options: { addTo: true }, trained: 'abr' },
  { rows: 40, inFeatures: 300, outFeatures: 64, rank: 33, trained: 'br' },
  { rows: 40, inFeatures: 33, outFeatures: 65, rank: 0, options: { residual: true } },
]

/** Each option and each choice of what is trained once, where a case takes seconds. */
const FEW = cases.filter((_, at) => [1, 8, 12, 13, 15].includes(at))

const words = ({ rows, inFeatures, outFeatures, rank, options, trained }: Case) =>
  `${rows} x ${inFeatures} -> ${outFeatures}, rank ${rank} ${[...Object.keys(options ?? {}), ...(trained ? [`trained: ${trained}`] : [])].join(', ')}`

onEveryEngine('linear', (engine, { compilesSlowly }) => {
  describe.each((compilesSlowly ? FEW : cases).map((given) => [words(given), given] as const))(
    '%s',
    (_, given) => {
      const { rows, inFeatures, outFeatures, rank, options = {}, trained = 'ab' } = given
      const hasCore = trained.includes('r')
      const scale = 1.75
      const weight = normals(outFeatures * inFeatures, 1, 0.3)
      const bias = normals(outFeatures, 2)
      const a = normals(rank * inFeatures, 3, 0.4)
      const b = normals(outFeatures * rank, 4, 0.5)
      const r = normals(rank * rank, 9, 0.5)
      const inputs = {
        x: matrix(rows, inFeatures, 5),
        dy: matrix(rows, outFeatures, 6),
        residual: matrix(rows, outFeatures, 7),
        addTo: matrix(rows, inFeatures, 8),
      }
      const plain: reference.LinearCase = {
        rows,
        inFeatures,
        outFeatures,
        weight,
        ...(options.bias && { bias }),
        ...(rank > 0 && { lora: { rank, a, b, scale, ...(hasCore && { r }) } }),
      }

      /** Puts the case on the engine for as long as `body` takes. */
      async function placed(
        body: (layer: Linear, gradients: () => Promise<Map<string, Float32Array>>) => Promise<void>,
      ): Promise<void> {
        const frozen = engine().constant(weight, [outFeatures, inFeatures])
        const frozenBias = engine().constant(bias, [outFeatures])
        const factors = [
          { name: 'a', shape: [rank, inFeatures], values: a },
          { name: 'b', shape: [outFeatures, rank], values: b },
          { name: 'r', shape: [rank, rank], values: r },
        ] as const
        const [set, held] = [true, false].map((isTrained) => {
          const chosen = factors.filter(({ name }) => rank > 0 && trained.includes(name) === isTrained)
          const made = engine().parameters(chosen)
          made.write(new Map(chosen.map(({ name, values }) => [name, values])))
          return made
        })
        const factor = (name: 'a' | 'b' | 'r'): LoraPath['a'] => {
          const frozen = held.parameters.get(name)
          return frozen
            ? { frozen: true, shape: frozen.shape, value: frozen.value }
            : set.parameters.get(name)!
        }
        const lora = rank > 0 && {
          a: factor('a'),
          b: factor('b'),
          ...(hasCore && { r: factor('r') }),
          scale,
        }
        const layer: Linear = {
          weight: frozen,
          ...(options.bias && { bias: frozenBias }),
          ...(lora && { lora }),
        }
        await body(layer, async () => (rank > 0 ? set.readGradients() : new Map()))
        set.dispose()
        held.dispose()
        engine().free(frozen)
        engine().free(frozenBias)
      }

      /** Those of what is trained, and of nothing else. */
      function expectGradients(
        gradients: Map<string, Float32Array>,
        { da, db, dr }: ReturnType<typeof reference.linearBackward>,
      ): void {
        expect([...gradients.keys()].join('')).toBe(rank > 0 ? trained : '')
        for (const [name, expected] of Object.entries({ a: da, b: db, r: dr })) {
          const gradient = gradients.get(name)
          if (gradient) expectNear(gradient, expected!, TOLERANCE, `d${name.toUpperCase()}`)
        }
      }

      it('forward', () =>
        placed(async (layer) => {
          const { y } = await runOps(engine(), inputs, ['y'], (ops, { x, residual }) => ({
            y: ops.linear.forward(x, layer, options.residual && { residual }),
          }))
          const residual = options.residual && inputs.residual.values
          expectNear(y, reference.linear(inputs.x.values, plain, residual), TOLERANCE, 'y')
        }))

      it('backward', () =>
        placed(async (layer, gradients) => {
          const { dx } = await runOps(engine(), inputs, ['dx'], (ops, { x, dy, addTo }) => ({
            dx: ops.linear.backward(dy, x, layer, options.addTo && { addTo }),
          }))
          const addTo = options.addTo && inputs.addTo.values
          const expected = reference.linearBackward(inputs.dy.values, inputs.x.values, plain, addTo)
          expectNear(dx, expected.dx, TOLERANCE, 'dx')
          expectGradients(await gradients(), expected)
        }))

      it.runIf(rank > 0)('backward without the input gradient writes the slots anew', () =>
        placed(async (layer, gradients) => {
          await runOps(engine(), inputs, ['y'], (ops, { x, dy, residual }) => {
            expect(ops.linear.backward(dy, x, layer, { needInput: false })).toBeNull()
            // Gradients of a second call replace those of the first: slots do not accumulate.
            expect(ops.linear.backward(residual, x, layer, { needInput: false })).toBeNull()
            return { y: ops.add(x, x) }
          })
          const expected = reference.linearBackward(inputs.residual.values, inputs.x.values, plain)
          expectGradients(await gradients(), expected)
        }),
      )
    },
  )

  const sharing: [number, number, number[]][] = [
    [37, 44, [8, 8, 8]],
    [3, 132, [4, 12]],
    // Too odd to share anything.
    [5, 30, [3, 8]],
    [5, 32, [8, 8, 8, 8]],
  ]
  const shared = compilesSlowly ? sharing.slice(0, 2) : sharing
  it.each(shared)('layers that read the same x, %i x %i, ranks %j', async (rows, inFeatures, ranks) => {
    const placed = ranks.map((rank, i) => {
      const outFeatures = 20 + 8 * i
      const [weight, a, b] = [
        normals(outFeatures * inFeatures, 10 + i, 0.3),
        normals(rank * inFeatures, 20 + i, 0.4),
        normals(outFeatures * rank, 30 + i, 0.5),
      ]
      const scale = 1.75 - i / 2
      const set = engine().parameters([
        { name: 'a', shape: [rank, inFeatures] },
        { name: 'b', shape: [outFeatures, rank] },
      ])
      set.write(new Map(Object.entries({ a, b })))
      const frozen = engine().constant(weight, [outFeatures, inFeatures])
      const lora = { a: set.parameters.get('a')!, b: set.parameters.get('b')!, scale }
      const plain = { rows, inFeatures, outFeatures, weight, lora: { rank, a, b, scale } }
      return { set, layer: { weight: frozen, lora }, plain }
    })
    const x = matrix(rows, inFeatures, 5)
    const names = ranks.map((_, i) => `y${i}`)
    const found = await runOps(engine(), { x }, names, (ops, given) => {
      const results = ops.linear.forwardEach(
        given.x,
        placed.map(({ layer }) => layer),
      )
      return Object.fromEntries(results.map((result, i) => [`y${i}`, result]))
    })
    placed.forEach(({ set, layer, plain }, i) => {
      expectNear(found[`y${i}`], reference.linear(x.values, plain), TOLERANCE, `y${i}`)
      set.dispose()
      engine().free(layer.weight)
    })
  })
})
