/** The picture ops' reference: each backward against central difference quotients of its forward. */
import { describe, expect, it } from 'vitest'
import { normals } from './normals.ts'
import * as reference from './picture-reference.ts'
import type { Numbers } from './reference.ts'

function expectGradient(
  x: Float64Array,
  f: (x: Float64Array) => Numbers,
  dy: Numbers,
  gradient: Numbers,
): void {
  const dot = (y: Numbers) => Array.from(y).reduce((sum, entry, i) => sum + entry * dy[i], 0)
  const step = 1e-5
  for (let i = 0; i < x.length; i++) {
    const [up, down] = [x.slice(), x.slice()]
    up[i] += step
    down[i] -= step
    expect(gradient[i]).toBeCloseTo((dot(f(up)) - dot(f(down))) / (2 * step), 6)
  }
}

const f64 = (count: number, seed: number) => Float64Array.from(normals(count, seed))
const shape = { pictures: 2, tokens: 3, width: 4 }
const [x, y, dy, shared] = [f64(24, 1), f64(24, 2), f64(24, 3), f64(16, 4)]
/** Both halves of [pictures, 2 * width]. */
const part = (values: Numbers, part: number) => ({ values, stride: 8, part })

/** The entries of one half, as a vector of their own and put back. */
const half = (index: number) =>
  Float64Array.from({ length: 8 }, (_, i) => shared[Math.floor(i / 4) * 8 + index * 4 + (i % 4)])
const withHalf = (index: number, own: Numbers) =>
  shared.map((entry, i) => (Math.floor((i % 8) / 4) === index ? own[Math.floor(i / 8) * 4 + (i % 4)] : entry))

describe('reference gradients agree with difference quotients', () => {
  it('modulatedNorm', () => {
    const run = (x: Numbers, values: Numbers) =>
      reference.modulatedNorm(x, part(values, 0), part(values, 1), shape, 0.1)
    const found = reference.modulatedNormBackward(dy, x, part(shared, 1), shape, 0.1)
    expectGradient(x, (x) => run(x, shared), dy, found.dx)
    expectGradient(half(0), (own) => run(x, withHalf(0, own)), dy, found.dShift)
    expectGradient(half(1), (own) => run(x, withHalf(1, own)), dy, found.dScale)
  })

  it('gatedAdd', () => {
    const run = (y: Numbers, values: Numbers) => reference.gatedAdd(x, y, part(values, 1), shape)
    const found = reference.gatedAddBackward(dy, y, part(shared, 1), shape)
    expectGradient(y, (y) => run(y, shared), dy, found.dy)
    expectGradient(half(1), (own) => run(y, withHalf(1, own)), dy, found.dGate)
  })

  it('squaredError', () => {
    const weights = [0.5, 0, 2]
    const found = reference.squaredError(x, y, weights)
    expectGradient(x, (x) => reference.squaredError(x, y, weights).loss, weights, found.dy)
    expect(found.loss[1]).toBe(0)
  })
})
