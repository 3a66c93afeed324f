/** The reference's own check: each backward against central difference quotients of its forward. */
import { describe, expect, it } from 'vitest'
import { normals } from './normals.ts'
import * as reference from './reference.ts'

/** Compares d (sum of dy · f(x)) / dx by difference quotients with the given gradient. */
function expectGradient(
  x: Float64Array,
  f: (x: Float64Array) => reference.Numbers,
  dy: reference.Numbers,
  gradient: reference.Numbers,
): void {
  const dot = (y: reference.Numbers) => {
    let total = 0
    for (let i = 0; i < y.length; i++) total += y[i] * dy[i]
    return total
  }
  const step = 1e-5
  for (let i = 0; i < x.length; i++) {
    const up = x.slice()
    const down = x.slice()
    up[i] += step
    down[i] -= step
    expect(gradient[i]).toBeCloseTo((dot(f(up)) - dot(f(down))) / (2 * step), 6)
  }
}

const f64 = (count: number, seed: number) => Float64Array.from(normals(count, seed))

describe('reference gradients agree with difference quotients', () => {
  it('linear', () => {
    const layer = (a: Float64Array, b: Float64Array): reference.LinearCase => ({
      rows: 3,
      inFeatures: 5,
      outFeatures: 4,
      weight: f64(20, 1),
      bias: f64(4, 2),
      lora: { rank: 2, a, b, scale: 1.5 },
    })
    const [x, a, b, dy, residual] = [f64(15, 3), f64(10, 4), f64(8, 5), f64(12, 6), f64(12, 7)]
    const { dx, da, db } = reference.linearBackward(dy, x, layer(a, b))
    expectGradient(x, (at) => reference.linear(at, layer(a, b), residual), dy, dx)
    expectGradient(a, (at) => reference.linear(x, layer(at, b)), dy, da!)
    expectGradient(b, (at) => reference.linear(x, layer(a, at)), dy, db!)
  })

  it('linear with a core between the factors', () => {
    const layer = (a: Float64Array, b: Float64Array, r: Float64Array): reference.LinearCase => ({
      rows: 3,
      inFeatures: 5,
      outFeatures: 4,
      weight: f64(20, 1),
      lora: { rank: 2, a, b, r, scale: 1.5 },
    })
    const [x, a, b, r, dy] = [f64(15, 3), f64(10, 4), f64(8, 5), f64(4, 6), f64(12, 7)]
    const { dx, da, db, dr } = reference.linearBackward(dy, x, layer(a, b, r))
    expectGradient(x, (at) => reference.linear(at, layer(a, b, r)), dy, dx)
    expectGradient(a, (at) => reference.linear(x, layer(at, b, r)), dy, da!)
    expectGradient(b, (at) => reference.linear(x, layer(a, at, r)), dy, db!)
    expectGradient(r, (at) => reference.linear(x, layer(a, b, at)), dy, dr!)
  })

  it('rmsNorm', () => {
    const [x, weight, dy] = [f64(12, 1), f64(4, 2), f64(12, 3)]
    const dx = reference.rmsNormBackward(dy, x, weight, 3, 4, 1e-3)
    expectGradient(x, (at) => reference.rmsNorm(at, weight, 3, 4, 1e-3), dy, dx)
  })

  it('rotary', () => {
    const [x, dy] = [f64(24, 1), f64(24, 2)]
    const table = reference.rotaryTable(9, 4, 100)
    const positions = [0, 8, 3]
    const dx = reference.rotary(dy, table, positions, 4, -1)
    expectGradient(x, (at) => reference.rotary(at, table, positions, 4, 1), dy, dx)
  })

  it.each([true, false])('attention, causal %s', (causal) => {
    const shape = { batch: 2, tokens: 3, heads: 4, kvHeads: 2, headDim: 2, causal }
    const [q, k, v, dOut] = [f64(48, 1), f64(24, 2), f64(24, 3), f64(48, 4)]
    const { dq, dk, dv } = reference.attentionBackward(dOut, q, k, v, shape)
    expectGradient(q, (at) => reference.attention(at, k, v, shape).out, dOut, dq)
    expectGradient(k, (at) => reference.attention(q, at, v, shape).out, dOut, dk)
    expectGradient(v, (at) => reference.attention(q, k, at, shape).out, dOut, dv)
  })

  it('attention over several documents in a window', () => {
    const shape = { batch: 2, tokens: 4, heads: 2, kvHeads: 1, headDim: 2, causal: true }
    const segments = [0, 0, 2, 2, 0, 1, 1, 3]
    const [q, k, v, dOut] = [f64(32, 1), f64(16, 2), f64(16, 3), f64(32, 4)]
    const { dq, dk, dv } = reference.attentionBackward(dOut, q, k, v, shape, segments)
    expectGradient(q, (at) => reference.attention(at, k, v, shape, segments).out, dOut, dq)
    expectGradient(k, (at) => reference.attention(q, at, v, shape, segments).out, dOut, dk)
    expectGradient(v, (at) => reference.attention(q, k, at, shape, segments).out, dOut, dv)
  })

  it('swiglu', () => {
    const [gate, up, dy] = [f64(9, 1), f64(9, 2), f64(9, 3)]
    const { dGate, dUp } = reference.swigluBackward(dy, gate, up)
    expectGradient(gate, (at) => reference.swiglu(at, up), dy, dGate)
    expectGradient(up, (at) => reference.swiglu(gate, at), dy, dUp)
  })

  it('linearCrossEntropy', () => {
    const [x, weight] = [f64(12, 1), f64(28, 2)]
    const targets = [6, 0, 3]
    const rowWeights = [0.5, 0, 2]
    const at = (point: Float64Array) =>
      reference.linearCrossEntropy(point, weight, targets, rowWeights, 3, 4, 7)
    expectGradient(x, (point) => at(point).nll, rowWeights, at(x).dx)
  })
})
