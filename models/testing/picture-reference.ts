/** The ops of picture models in plain float64 loops: what all executors are tested against, as `reference.ts`. */
import type { Numbers } from './reference.ts'

/** Numbers of a picture: columns part * width.. of values [pictures, stride]. */
export interface SharedNumbers {
  readonly values: Numbers
  readonly stride: number
  readonly part: number
}

const at = ({ values, stride, part }: SharedNumbers, picture: number, width: number, c: number) =>
  values[picture * stride + part * width + c]

export interface Pictures {
  readonly pictures: number
  readonly tokens: number
  readonly width: number
}

const everyEntry = (
  { pictures, tokens, width }: Pictures,
  visit: (i: number, picture: number, c: number) => void,
) => {
  for (let i = 0; i < pictures * tokens * width; i++) visit(i, Math.floor(i / (tokens * width)), i % width)
}

/** x / sqrt(mean(x²) + eps) */
function normed(x: Numbers, { pictures, tokens, width }: Pictures, eps: number) {
  const n = new Float64Array(x.length)
  const r = new Float64Array(pictures * tokens)
  for (let row = 0; row < pictures * tokens; row++) {
    let squares = 0
    for (let c = 0; c < width; c++) squares += x[row * width + c] ** 2
    r[row] = 1 / Math.sqrt(squares / width + eps)
    for (let c = 0; c < width; c++) n[row * width + c] = x[row * width + c] * r[row]
  }
  return { n, r }
}

export function modulatedNorm(
  x: Numbers,
  shift: SharedNumbers,
  scale: SharedNumbers,
  shape: Pictures,
  eps: number,
): Float64Array {
  const { n } = normed(x, shape, eps)
  const { width } = shape
  const y = new Float64Array(x.length)
  everyEntry(shape, (i, picture, c) => {
    y[i] = n[i] * (1 + at(scale, picture, width, c)) + at(shift, picture, width, c)
  })
  return y
}

export function modulatedNormBackward(
  dy: Numbers,
  x: Numbers,
  scale: SharedNumbers,
  shape: Pictures,
  eps: number,
) {
  const { pictures, tokens, width } = shape
  const { n, r } = normed(x, shape, eps)
  const g = new Float64Array(x.length)
  const dShift = new Float64Array(pictures * width)
  const dScale = new Float64Array(pictures * width)
  everyEntry(shape, (i, picture, c) => {
    g[i] = dy[i] * (1 + at(scale, picture, width, c))
    dShift[picture * width + c] += dy[i]
    dScale[picture * width + c] += dy[i] * n[i]
  })
  const dx = new Float64Array(x.length)
  for (let row = 0; row < pictures * tokens; row++) {
    let along = 0
    for (let c = 0; c < width; c++) along += g[row * width + c] * n[row * width + c]
    for (let c = 0; c < width; c++) {
      const i = row * width + c
      dx[i] = r[row] * (g[i] - (n[i] * along) / width)
    }
  }
  return { dx, dShift, dScale }
}

export function gatedAdd(x: Numbers, y: Numbers, gate: SharedNumbers, shape: Pictures): Float64Array {
  const out = new Float64Array(x.length)
  everyEntry(shape, (i, picture, c) => {
    out[i] = x[i] + at(gate, picture, shape.width, c) * y[i]
  })
  return out
}

export function gatedAddBackward(dy: Numbers, y: Numbers, gate: SharedNumbers, shape: Pictures) {
  const d = new Float64Array(y.length)
  const dGate = new Float64Array(shape.pictures * shape.width)
  everyEntry(shape, (i, picture, c) => {
    d[i] = at(gate, picture, shape.width, c) * dy[i]
    dGate[picture * shape.width + c] += dy[i] * y[i]
  })
  return { dy: d, dGate }
}

/** y, target [pictures * each], weights [pictures] -> loss [pictures], and dy of sum(weights * loss). */
export function squaredError(y: Numbers, target: Numbers, weights: Numbers) {
  const each = y.length / weights.length
  const loss = new Float64Array(weights.length)
  const dy = new Float64Array(y.length)
  for (let i = 0; i < y.length; i++) {
    const picture = Math.floor(i / each)
    if (weights[picture] === 0) continue
    loss[picture] += (y[i] - target[i]) ** 2 / each
    dy[i] = (2 * weights[picture] * (y[i] - target[i])) / each
  }
  return { loss, dy }
}
