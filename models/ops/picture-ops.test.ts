/** The ops of picture models on every engine against the float64 reference. */
import { describe, expect, it } from 'vitest'
import { expectNear } from '../testing/close.ts'
import { normals } from '../testing/normals.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import * as reference from '../testing/picture-reference.ts'
import { matrix, runOps } from '../testing/run-ops.ts'

/** Of the largest entry. */
const TOLERANCE = 1e-5

onEveryEngine('picture ops', (engine) => {
  describe.each([
    [1, 1, 5],
    [2, 9, 24],
    [3, 76, 128],
  ])('%i pictures of %i rows of %i', (pictures, tokens, width) => {
    const shape = { pictures, tokens, width }
    const rows = pictures * tokens
    /** Six kinds of numbers a picture, as a block has them. */
    const parts = matrix(pictures, 6 * width, 9, 0.5)
    const numbers = (part: number) => ({ values: parts.values, stride: 6 * width, part })

    it.each([1, 1e-3])('modulatedNorm of rows of size %d', async (size) => {
      const eps = 1e-5
      const inputs = {
        x: matrix(rows, width, 1, size),
        dy: matrix(rows, width, 2),
        addTo: matrix(rows, width, 3),
        parts,
      }
      const [x, dy, addTo] = [inputs.x.values, inputs.dy.values, inputs.addTo.values]
      const found = await runOps(
        engine(),
        inputs,
        ['y', 'dx', 'added', 'dShift', 'dScale'],
        (ops, { x, dy, addTo, parts }) => {
          const part = (part: number) => ({ values: parts, part })
          return {
            y: ops.modulatedNorm.forward(x, part(3), part(4), eps),
            dx: ops.modulatedNorm.backward(dy, x, part(4), eps),
            added: ops.modulatedNorm.backward(dy, x, part(4), eps, { addTo }),
            ...ops.modulatedNorm.modulationGradients(dy, x, pictures, eps),
          }
        },
      )
      const expected = reference.modulatedNormBackward(dy, x, numbers(4), shape, eps)
      expectNear(found.y, reference.modulatedNorm(x, numbers(3), numbers(4), shape, eps), TOLERANCE, 'y')
      expectNear(found.dx, expected.dx, TOLERANCE, 'dx')
      expectNear(
        found.added,
        expected.dx.map((entry, i) => entry + addTo[i]),
        TOLERANCE,
        'dx with addTo',
      )
      expectNear(found.dShift, expected.dShift, TOLERANCE, 'dShift')
      expectNear(found.dScale, expected.dScale, TOLERANCE, 'dScale')
    })

    it('gatedAdd', async () => {
      const inputs = {
        x: matrix(rows, width, 1),
        y: matrix(rows, width, 2),
        dy: matrix(rows, width, 3),
        parts,
      }
      const found = await runOps(engine(), inputs, ['sum', 'gated', 'dGate'], (ops, { x, y, dy, parts }) => ({
        sum: ops.gatedAdd.forward(x, y, { values: parts, part: 5 }),
        gated: ops.gatedAdd.backward(dy, { values: parts, part: 5 }),
        dGate: ops.gatedAdd.gateGradient(dy, y, pictures),
      }))
      const [x, y, dy] = [inputs.x.values, inputs.y.values, inputs.dy.values]
      const expected = reference.gatedAddBackward(dy, y, numbers(5), shape)
      expectNear(found.sum, reference.gatedAdd(x, y, numbers(5), shape), TOLERANCE, 'sum')
      expectNear(found.gated, expected.dy, TOLERANCE, 'dy')
      expectNear(found.dGate, expected.dGate, TOLERANCE, 'dGate')
    })

    it('squaredError, where some pictures do not count', async () => {
      const weights = { values: normals(pictures, 4).map(Math.abs), shape: [pictures] }
      if (pictures > 1) weights.values[1] = 0
      const inputs = { y: matrix(rows, width, 1), target: matrix(rows, width, 2), weights }
      const found = await runOps(
        engine(),
        inputs,
        ['alone', 'loss', 'dy'],
        (ops, { y, target, weights }) => ({
          alone: ops.squaredError.forward(y, target, weights),
          ...ops.squaredError.forwardBackward(y, target, weights),
        }),
      )
      const expected = reference.squaredError(inputs.y.values, inputs.target.values, weights.values)
      expectNear(found.alone, expected.loss, TOLERANCE, 'loss, forward alone')
      expectNear(found.loss, expected.loss, TOLERANCE, 'loss')
      expectNear(found.dy, expected.dy, TOLERANCE, 'dy')
      if (pictures > 1) expect(found.loss[1]).toBe(0)
    })

    it('joinRows and lastRows', async () => {
      const before = 2
      const inputs = {
        a: matrix(pictures * before, width, 1),
        b: matrix(rows, width, 2),
        positions: matrix(before + tokens, width, 3),
      }
      const found = await runOps(engine(), inputs, ['joined', 'last', 'back'], (ops, { a, b, positions }) => {
        const joined = ops.joinRows(a, b, positions, pictures)
        return {
          joined,
          last: ops.lastRows.forward(joined, pictures, tokens),
          back: ops.lastRows.backward(b, pictures, before + tokens),
        }
      })
      const [a, b, positions] = [inputs.a.values, inputs.b.values, inputs.positions.values]
      const each = (before + tokens) * width
      const source = (i: number) => {
        const [picture, within] = [Math.floor(i / each), i % each]
        return within < before * width
          ? { own: a[picture * before * width + within], last: false }
          : { own: b[picture * tokens * width + within - before * width], last: true }
      }
      const all = Array.from({ length: pictures * each }, (_, i) => source(i))
      const joined = all.map(({ own }, i) => Math.fround(own + positions[i % each]))
      expect([...found.joined]).toEqual(joined)
      expect([...found.last]).toEqual(joined.filter((_, i) => all[i].last))
      expect([...found.back]).toEqual(all.map(({ own, last }) => (last ? own : 0)))
    })

    it('weightedRows', async () => {
      const inputs = {
        x: matrix(rows, width, 1),
        weights: { values: normals(rows, 2), shape: [rows] },
      }
      const { y } = await runOps(engine(), inputs, ['y'], (ops, { x, weights }) => ({
        y: ops.weightedRows(x, weights, pictures),
      }))
      const expected = new Float64Array(pictures * width)
      inputs.x.values.forEach((entry, i) => {
        const row = Math.floor(i / width)
        expected[Math.floor(row / tokens) * width + (i % width)] += entry * inputs.weights.values[row]
      })
      expectNear(y, expected, TOLERANCE, 'y')
    })

    it('columns', async () => {
      const inputs = { a: matrix(rows, width, 1), b: matrix(rows, width, 2), c: matrix(rows, width, 3) }
      const { y } = await runOps(engine(), inputs, ['y'], (ops, { a, b, c }) => ({
        y: ops.columns([a, b, c]),
      }))
      const expected = Array.from({ length: rows }, (_, row) =>
        [inputs.a, inputs.b, inputs.c].flatMap(({ values }) => [
          ...values.subarray(row * width, (row + 1) * width),
        ]),
      ).flat()
      expect([...y]).toEqual(expected)
    })
  })

  it('silu, where exp overflows too', async () => {
    const x = { values: Float32Array.of(-200, -90, -1, 0, 1, 30, 200), shape: [1, 7] }
    const { y } = await runOps(engine(), { x }, ['y'], (ops, { x }) => ({ y: ops.silu(x) }))
    expectNear(
      y,
      Array.from(x.values, (entry) => entry / (1 + Math.exp(-entry))),
      1e-6,
      'y',
    )
  })
})
