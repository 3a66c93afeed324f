/**
 * Layers trained whole against loops in float64 that follow the formulas, on every engine: results, and every gradient
 * slot. Ids repeat, widths are no multiples of a vector, and the head's logits take several bands.
 */
import { describe, expect, it } from 'vitest'
import type { Engine } from '../../backend/engine.ts'
import { expectNear } from '../../testing/close.ts'
import { integers, normals } from '../../testing/normals.ts'
import { onEveryEngine } from '../../testing/on-every-engine.ts'
import { type OpInput, runOps } from '../../testing/run-ops.ts'
import type { Ops, Parameter, Tensor } from '../ops.ts'

const NEAR = 2e-5

type Numbers = Float32Array | Float64Array

/** a [m, k] by b, given by how an entry of b is found. */
function product(a: Numbers, m: number, k: number, n: number, b: (row: number, column: number) => number) {
  const y = new Float64Array(m * n)
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) for (let at = 0; at < k; at++) y[i * n + j] += a[i * k + at] * b(at, j)
  return y
}

const transposed = (a: Numbers, rows: number, columns: number) =>
  Float64Array.from({ length: a.length }, (_, i) => a[(i % rows) * columns + Math.floor(i / rows)])

const matrix = (rows: number, columns: number, seed: number): OpInput & { values: Float32Array } => ({
  values: normals(rows * columns, seed),
  shape: [rows, columns],
})

/** Runs `body` with one parameter; its outputs and the gradient. */
async function withParameter<Name extends string, Output extends string>(
  engine: Engine,
  value: OpInput & { values: Float32Array },
  inputs: Readonly<Record<Name, OpInput>>,
  read: readonly Output[],
  body: (ops: Ops, weight: Parameter, inputs: Readonly<Record<Name, Tensor>>) => Record<Output, Tensor>,
) {
  const shape = [value.shape[0], value.shape[1]] as const
  const set = engine.parameters([{ name: 'w', shape }])
  set.write(new Map([['w', value.values]]))
  try {
    const outputs = await runOps(engine, inputs, read, (ops, given) =>
      body(ops, set.parameters.get('w')!, given),
    )
    return { outputs, gradient: (await set.readGradients()).get('w')! }
  } finally {
    set.dispose()
  }
}

onEveryEngine(
  'layers trained whole',
  (engine, present) => {
    describe.each([
      [7, 12, 20],
      [5, 9, 13],
      [33, 48, 128],
    ])('linear %i x %i by %i', (rows, width, out) => {
      it('forward, and both gradients', async () => {
        const [x, dy, w, extra] = [
          matrix(rows, width, 1),
          matrix(rows, out, 2),
          matrix(out, width, 3),
          matrix(rows, width, 4),
        ]
        const { outputs, gradient } = await withParameter(
          engine(),
          w,
          { x, dy, extra },
          ['y', 'dx'],
          (ops, weight, { x, dy, extra }) => ({
            y: ops.dense.forward(x, weight),
            dx: ops.dense.backward(dy, x, weight, { addTo: extra }),
          }),
        )
        expectNear(
          outputs.y,
          product(x.values, rows, width, out, (k, j) => w.values[j * width + k]),
          NEAR,
          'y',
        )
        const dx = product(dy.values, rows, out, width, (k, j) => w.values[k * width + j])
        expectNear(
          outputs.dx,
          dx.map((entry, i) => entry + extra.values[i]),
          NEAR,
          'dx',
        )
        const dw = product(
          transposed(dy.values, rows, out),
          out,
          rows,
          width,
          (k, j) => x.values[k * width + j],
        )
        expectNear(gradient, dw, NEAR, 'dW')
      })
    })

    it('norm, and both gradients', async () => {
      const [rows, width, eps] = [9, 21, 1e-5]
      const [x, dy, gain] = [matrix(rows, width, 5), matrix(rows, width, 6), matrix(1, width, 7)]
      const { outputs, gradient } = await withParameter(
        engine(),
        gain,
        { x, dy },
        ['y', 'dx'],
        (ops, weight, { x, dy }) => ({
          y: ops.dense.norm(x, weight, eps),
          dx: ops.dense.normBackward(dy, x, weight, eps),
        }),
      )
      const scale = Float64Array.from({ length: rows }, (_, row) => {
        const own = x.values.subarray(row * width, (row + 1) * width)
        return 1 / Math.sqrt(own.reduce((sum, v) => sum + v * v, 0) / width + eps)
      })
      const at = (i: number) => ({ row: Math.floor(i / width), c: i % width })
      const y = Float64Array.from(x.values, (v, i) => v * scale[at(i).row] * gain.values[at(i).c])
      const pull = Float64Array.from({ length: rows }, (_, row) => {
        let sum = 0
        for (let c = 0; c < width; c++)
          sum += dy.values[row * width + c] * gain.values[c] * x.values[row * width + c]
        return (sum / width) * scale[row] ** 3
      })
      const dx = Float64Array.from(x.values, (v, i) => {
        const { row, c } = at(i)
        return dy.values[i] * gain.values[c] * scale[row] - v * pull[row]
      })
      const dGain = new Float64Array(width)
      x.values.forEach((v, i) => {
        dGain[at(i).c] += dy.values[i] * v * scale[at(i).row]
      })
      expectNear(outputs.y, y, NEAR, 'y')
      expectNear(outputs.dx, dx, NEAR, 'dx')
      expectNear(gradient, dGain, NEAR, 'dGain')
    })

    it("a table's rows, and the sums of what comes back to them", async () => {
      const [rows, vocabulary, width] = [40, 11, 6]
      const [table, dy] = [matrix(vocabulary, width, 8), matrix(rows, width, 9)]
      // Ten of eleven ids: the last row has no gradient.
      const ids = integers(rows, 10, vocabulary - 1)
      const { outputs, gradient } = await withParameter(
        engine(),
        table,
        { ids: { values: ids, shape: [rows] }, dy },
        ['y'],
        (ops, weight, { ids, dy }) => {
          ops.dense.lookUpBackward(dy, ids, weight)
          return { y: ops.dense.lookUp(ids, weight) }
        },
      )
      const sums = new Float64Array(vocabulary * width)
      const found: number[] = []
      ids.forEach((id, row) => {
        for (let c = 0; c < width; c++) {
          sums[id * width + c] += dy.values[row * width + c]
          found.push(table.values[id * width + c])
        }
      })
      expect([...outputs.y]).toEqual(found)
      expectNear(gradient, sums, NEAR, 'dTable')
      expect([...gradient.subarray((vocabulary - 1) * width)]).toEqual(new Array(width).fill(0))
    })

    // 8.4 million logits are a band of the plan's: the larger vocabulary takes two. Sums over it lose a digit.
    const heads: [rows: number, vocabulary: number, width: number, near: number][] = [
      [10, 30, 8, NEAR],
      present.executor === 'plan' ? [66, 66_000, 2, 10 * NEAR] : [40, 40_000, 2, 10 * NEAR],
    ]
    it.each(heads)(
      'head and cross-entropy of %i rows over %i words, and both gradients',
      async (rows, vocabulary, width, near) => {
        const [x, w] = [matrix(rows, width, 11), matrix(vocabulary, width, 12)]
        const targets = integers(rows, 13, vocabulary)
        const rowWeights = Float32Array.from({ length: rows }, (_, row) => (row % 5 === 4 ? 0 : 1 / rows))
        const { outputs, gradient } = await withParameter(
          engine(),
          w,
          {
            x,
            targets: { values: targets, shape: [rows] },
            rowWeights: { values: rowWeights, shape: [rows] },
          },
          ['nll', 'dx'],
          (ops, weight, { x, targets, rowWeights }) => ops.dense.crossEntropy(x, weight, targets, rowWeights),
        )
        const nll = new Float64Array(rows)
        const dx = new Float64Array(rows * width)
        const dw = new Float64Array(vocabulary * width)
        for (let row = 0; row < rows; row++) {
          const own = x.values.subarray(row * width, (row + 1) * width)
          const logits = new Float64Array(vocabulary)
          for (let v = 0; v < vocabulary; v++)
            for (let c = 0; c < width; c++) logits[v] += own[c] * w.values[v * width + c]
          const top = logits.reduce((a, b) => Math.max(a, b))
          const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0)
          nll[row] = rowWeights[row] === 0 ? 0 : Math.log(total) + top - logits[targets[row]]
          for (let v = 0; v < vocabulary; v++) {
            const share = Math.exp(logits[v] - top) / total - (v === targets[row] ? 1 : 0)
            for (let c = 0; c < width; c++) {
              dx[row * width + c] += rowWeights[row] * share * w.values[v * width + c]
              dw[v * width + c] += rowWeights[row] * share * own[c]
            }
          }
        }
        expectNear(outputs.nll, nll, near, 'nll')
        expectNear(outputs.dx, dx, near, 'dx')
        expectNear(gradient, dw, near, 'dW')
      },
    )
  },
  'one',
)
