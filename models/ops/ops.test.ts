/** The row-wise ops and the cross-entropy on every engine against the float64 reference. */
import { describe, expect, it } from 'vitest'
import { expectNear, expectWithin } from '../testing/close.ts'
import { integers, normals } from '../testing/normals.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import * as reference from '../testing/reference.ts'
import { ids, matrix, runOps } from '../testing/run-ops.ts'

/** Of the largest entry. */
const TOLERANCE = 1e-5

onEveryEngine('ops', (engine) => {
  describe('embedding', () => {
    it.each([
      [1, 97, 30],
      [17, 97, 32],
      [34, 5, 1],
      [300, 2048, 192],
    ])('%i ids of %i, width %i', async (rows, vocabulary, width) => {
      const values = normals(vocabulary * width, 1)
      const table = engine().constant(values, [vocabulary, width])
      const chosen = ids(rows, 2, vocabulary)
      chosen.values[0] = vocabulary - 1
      const { y } = await runOps(engine(), { chosen }, ['y'], (ops, given) => ({
        y: ops.embedding(given.chosen, table),
      }))
      const expected = Array.from(chosen.values).flatMap((id) => [
        ...values.subarray(id * width, (id + 1) * width),
      ])
      expect([...y]).toEqual(expected)
      engine().free(table)
    })
  })

  describe('rmsNorm', () => {
    it.each([
      [1, 30, 1],
      [17, 32, 1],
      [34, 7, 1],
      [5, 192, 1],
      [9, 576, 30],
      [3, 1, 1],
      // So small that eps rules.
      [4, 32, 1e-3],
    ])('%i x %i of size %d', async (rows, width, size) => {
      const eps = 1e-5
      const values = normals(width, 1)
      const weight = engine().constant(values, [width])
      const inputs = {
        x: matrix(rows, width, 2, size),
        dy: matrix(rows, width, 3),
        addTo: matrix(rows, width, 4),
      }
      const { y, dx, dxAdded } = await runOps(
        engine(),
        inputs,
        ['y', 'dx', 'dxAdded'],
        (ops, { x, dy, addTo }) => ({
          y: ops.rmsNorm.forward(x, weight, eps),
          dx: ops.rmsNorm.backward(dy, x, weight, eps),
          dxAdded: ops.rmsNorm.backward(dy, x, weight, eps, { addTo }),
        }),
      )
      const [x, dy] = [inputs.x.values, inputs.dy.values]
      expectNear(y, reference.rmsNorm(x, values, rows, width, eps), TOLERANCE, 'y')
      const expected = reference.rmsNormBackward(dy, x, values, rows, width, eps)
      // At width 1 the two terms of dx all but cancel: rounding is measured against the terms.
      const terms = width === 1 ? 10 : Math.max(...expected.map(Math.abs))
      expectWithin(dx, expected, TOLERANCE * terms, 'dx')
      const added = expected.map((entry, i) => entry + inputs.addTo.values[i])
      expectWithin(dxAdded, added, TOLERANCE * Math.max(terms, 4), 'dx with addTo')
      engine().free(weight)
    })
  })

  describe('rotary', () => {
    it.each([
      [1, 1, 2],
      [17, 4, 8],
      [17, 3, 12],
      [34, 9, 64],
    ])('%i rows, %i heads of %i', async (rows, heads, headDim) => {
      const values = Float32Array.from(reference.rotaryTable(40, headDim, 10_000))
      const table = engine().constant(values, [40, headDim])
      const inputs = {
        x: matrix(rows, heads * headDim, 1),
        dy: matrix(rows, heads * headDim, 2),
        // Queries and keys: another number of heads, the same rows.
        key: matrix(rows, 2 * headDim, 4),
        at: ids(rows, 3, 40),
      }
      inputs.at.values[0] = 39
      const read = ['y', 'dx', 'both', 'key', 'dKey'] as const
      const found = await runOps(engine(), inputs, read, (ops, { x, dy, key, at }) => {
        const [both, turnedKey] = ops.rotary.both('forward', [x, key], table, at, headDim)
        const [, dKey] = ops.rotary.both('backward', [dy, key], table, at, headDim)
        return {
          y: ops.rotary.forward(x, table, at, headDim),
          dx: ops.rotary.backward(dy, table, at, headDim),
          both,
          key: turnedKey,
          dKey,
        }
      })
      const { y, dx } = found
      const [x, dy, at] = [inputs.x.values, inputs.dy.values, inputs.at.values]
      expectNear(y, reference.rotary(x, values, at, headDim, 1), TOLERANCE, 'y')
      expectNear(dx, reference.rotary(dy, values, at, headDim, -1), TOLERANCE, 'dx')
      const key = inputs.key.values
      expect(found.both).toEqual(y)
      expectNear(found.key, reference.rotary(key, values, at, headDim, 1), TOLERANCE, 'key')
      expectNear(found.dKey, reference.rotary(key, values, at, headDim, -1), TOLERANCE, 'dKey')
      engine().free(table)
    })
  })

  describe('swiglu', () => {
    it.each([
      [1, 44, 1],
      [17, 48, 3],
      [34, 7, 1],
      // Where exp(-gate) overflows float32 on one side and vanishes on the other.
      [3, 5, 200],
    ])('%i x %i, gates of size %d', async (rows, width, size) => {
      const inputs = {
        gate: matrix(rows, width, 1, size),
        up: matrix(rows, width, 2),
        dy: matrix(rows, width, 3),
      }
      const { y, dGate, dUp } = await runOps(
        engine(),
        inputs,
        ['y', 'dGate', 'dUp'],
        (ops, { gate, up, dy }) => ({
          y: ops.swiglu.forward(gate, up),
          ...ops.swiglu.backward(dy, gate, up),
        }),
      )
      const [gate, up, dy] = [inputs.gate.values, inputs.up.values, inputs.dy.values]
      const expected = reference.swigluBackward(dy, gate, up)
      expectNear(y, reference.swiglu(gate, up), TOLERANCE, 'y')
      expectNear(dGate, expected.dGate, TOLERANCE, 'dGate')
      expectNear(dUp, expected.dUp, TOLERANCE, 'dUp')
    })
  })

  describe('linearCrossEntropy', () => {
    it.each([
      [1, 30, 97],
      [17, 32, 97],
      [34, 30, 5],
      [600, 6, 2048],
      [65, 16, 3001],
    ])('%i rows of %i over %i', async (rows, width, vocabulary) => {
      const values = normals(vocabulary * width, 1, 0.5)
      const weight = engine().constant(values, [vocabulary, width])
      const inputs = {
        x: matrix(rows, width, 2, 2),
        targets: ids(rows, 3, vocabulary),
        rowWeights: { values: normals(rows, 4).map(Math.abs), shape: [rows] },
      }
      inputs.targets.values[0] = vocabulary - 1
      for (let row = 2; row < rows; row += 3) inputs.rowWeights.values[row] = 0
      const { alone, nll, dx } = await runOps(
        engine(),
        inputs,
        ['alone', 'nll', 'dx'],
        (ops, { x, targets, rowWeights }) => ({
          alone: ops.linearCrossEntropy.forward(x, weight, targets, rowWeights),
          ...ops.linearCrossEntropy.forwardBackward(x, weight, targets, rowWeights),
        }),
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
      expectNear(alone, expected.nll, TOLERANCE, 'nll, forward alone')
      expectNear(nll, expected.nll, TOLERANCE, 'nll')
      expectNear(dx, expected.dx, TOLERANCE, 'dx')
      for (let row = 2; row < rows; row += 3) expect(nll[row]).toBe(0)
      engine().free(weight)
    })

    it('stays exact where the target is hopeless and where it is certain', async () => {
      // Logits of ±300: exp overflows float32 unless the largest is taken off, and p of the target is 0.
      const values = Float32Array.of(300, -300, 0)
      const weight = engine().constant(values, [3, 1])
      const inputs = {
        x: { values: Float32Array.of(1, 1, -1), shape: [3, 1] },
        targets: { values: Int32Array.of(0, 1, 2), shape: [3] },
        rowWeights: { values: Float32Array.of(1, 1, 1), shape: [3] },
      }
      const { nll } = await runOps(engine(), inputs, ['nll'], (ops, { x, targets, rowWeights }) =>
        ops.linearCrossEntropy.forwardBackward(x, weight, targets, rowWeights),
      )
      expectWithin(nll, [0, 600, 300], 1e-3, 'nll')
      engine().free(weight)
    })
  })

  it('add', async () => {
    const inputs = { a: matrix(7, 9, 1), b: matrix(7, 9, 2) }
    const { y } = await runOps(engine(), inputs, ['y'], (ops, { a, b }) => ({ y: ops.add(a, b) }))
    expect([...y]).toEqual([...inputs.a.values.map((entry, i) => entry + inputs.b.values[i])])
  })

  it.each([
    [1, 30, 97],
    [5, 32, 2048],
  ])('lastRowLogits, %i x %i over %i', async (rows, width, vocabulary) => {
    const values = normals(vocabulary * width, 1)
    const weight = engine().constant(values, [vocabulary, width])
    const inputs = { x: matrix(rows, width, 2) }
    const { y } = await runOps(engine(), inputs, ['y'], (ops, { x }) => ({ y: ops.lastRowLogits(x, weight) }))
    const last = inputs.x.values.subarray((rows - 1) * width)
    const expected = reference.product(
      last,
      reference.transposed(values, vocabulary, width),
      1,
      width,
      vocabulary,
    )
    expectNear(y, expected, TOLERANCE, 'logits')
    engine().free(weight)
  })

  it('scopes keep what they return', async () => {
    const inputs = { a: matrix(3, 4, 1) }
    const { y } = await runOps(engine(), inputs, ['y'], (ops, { a }) => {
      const kept = ops.scope('outer', () => {
        const twice = ops.scope('inner', () => ({ sum: ops.add(a, a) }))
        ops.add(twice.sum, a)
        return twice.sum
      })
      return { y: ops.add(kept, a) }
    })
    expectWithin(
      y,
      inputs.a.values.map((entry) => 3 * entry),
      1e-6,
      'y',
    )
  })

  it('refuses inputs of the wrong length or type, and a program after it was freed', async () => {
    const program = await engine().program(
      'inputs',
      [{ name: 'a', shape: [2, 3], dtype: 'float32' }],
      (ops, { a }) => ({
        y: ops.add(a, a),
      }),
    )
    await expect(program.run({ a: new Float32Array(5) })).rejects.toThrow(/a/)
    await expect(program.run({ a: integers(6, 1, 5) })).rejects.toThrow(/a/)
    await expect(program.run({})).rejects.toThrow(/a/)
    program.dispose()
    await expect(program.run({ a: new Float32Array(6) })).rejects.toThrow()
  })
})
