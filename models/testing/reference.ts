/**
 * Every op of `Ops` in plain float64 loops, forward and backward by the textbook formulas: what all executors
 * are tested against. Written to be believed by reading, not to be quick; `reference.test.ts` checks each
 * backward here against difference quotients of its forward.
 *
 * Matrices are row-major, with their shapes passed beside them.
 */
import type { AttentionShape } from '../ops/ops.ts'

export type Numbers = ArrayLike<number>

/** a [n, k], b [k, m] -> [n, m]. */
export function product(a: Numbers, b: Numbers, n: number, k: number, m: number): Float64Array {
  const out = new Float64Array(n * m)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      let sum = 0
      for (let l = 0; l < k; l++) sum += a[i * k + l] * b[l * m + j]
      out[i * m + j] = sum
    }
  }
  return out
}

/** a [n, m] -> [m, n]. */
export function transposed(a: Numbers, n: number, m: number): Float64Array {
  const out = new Float64Array(n * m)
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out[j * n + i] = a[i * m + j]
  return out
}

const sum = (...terms: Numbers[]) =>
  Float64Array.from(terms[0], (first, i) => terms.slice(1).reduce((total, term) => total + term[i], first))

const scaled = (a: Numbers, factor: number) => Float64Array.from(a, (entry) => entry * factor)

export interface LinearCase {
  readonly rows: number
  readonly inFeatures: number
  readonly outFeatures: number
  readonly weight: Numbers // [out, in]
  readonly bias?: Numbers // [out]
  readonly lora?: LowRankCase
}

export interface LowRankCase {
  readonly rank: number
  readonly a: Numbers // [rank, in]
  readonly b: Numbers // [out, rank]
  /** [rank, rank]: y += scale ((x Aᵀ) Rᵀ) Bᵀ. */
  readonly r?: Numbers
  readonly scale: number
}

/** x Aᵀ, and the same times Rᵀ where there is a core: [rows, rank] each. */
function lowRank(x: Numbers, { rank, a, r }: LowRankCase, rows: number, inFeatures: number) {
  const u = product(x, transposed(a, rank, inFeatures), rows, inFeatures, rank)
  return { u, v: r ? product(u, transposed(r, rank, rank), rows, rank, rank) : u }
}

export function linear(x: Numbers, layer: LinearCase, residual?: Numbers): Float64Array {
  const { rows, inFeatures, outFeatures, weight, bias, lora } = layer
  const terms: Numbers[] = [
    product(x, transposed(weight, outFeatures, inFeatures), rows, inFeatures, outFeatures),
  ]
  if (bias) terms.push(Float64Array.from({ length: rows * outFeatures }, (_, i) => bias[i % outFeatures]))
  if (lora) {
    const { v } = lowRank(x, lora, rows, inFeatures)
    const path = product(v, transposed(lora.b, outFeatures, lora.rank), rows, lora.rank, outFeatures)
    terms.push(scaled(path, lora.scale))
  }
  if (residual) terms.push(residual)
  return sum(...terms)
}

export function linearBackward(dy: Numbers, x: Numbers, layer: LinearCase, addTo?: Numbers) {
  const { rows, inFeatures, outFeatures, weight, lora } = layer
  const terms: Numbers[] = [product(dy, weight, rows, outFeatures, inFeatures)]
  let da: Float64Array | undefined
  let db: Float64Array | undefined
  let dr: Float64Array | undefined
  if (lora) {
    const { rank, a, b, r, scale } = lora
    const { u, v } = lowRank(x, lora, rows, inFeatures)
    const g = scaled(product(dy, b, rows, outFeatures, rank), scale)
    const h = r ? product(g, r, rows, rank, rank) : g
    da = product(transposed(h, rows, rank), x, rank, rows, inFeatures)
    db = scaled(product(transposed(dy, rows, outFeatures), v, outFeatures, rows, rank), scale)
    if (r) dr = product(transposed(g, rows, rank), u, rank, rows, rank)
    terms.push(product(h, a, rows, rank, inFeatures))
  }
  if (addTo) terms.push(addTo)
  return { dx: sum(...terms), da, db, dr }
}

export function rmsNorm(x: Numbers, weight: Numbers, rows: number, width: number, eps: number): Float64Array {
  const y = new Float64Array(rows * width)
  for (let row = 0; row < rows; row++) {
    let squares = 0
    for (let i = 0; i < width; i++) squares += x[row * width + i] ** 2
    const rms = Math.sqrt(squares / width + eps)
    for (let i = 0; i < width; i++) y[row * width + i] = (x[row * width + i] / rms) * weight[i]
  }
  return y
}

export function rmsNormBackward(
  dy: Numbers,
  x: Numbers,
  weight: Numbers,
  rows: number,
  width: number,
  eps: number,
): Float64Array {
  const dx = new Float64Array(rows * width)
  for (let row = 0; row < rows; row++) {
    const at = row * width
    let squares = 0
    let along = 0
    for (let i = 0; i < width; i++) {
      squares += x[at + i] ** 2
      along += dy[at + i] * weight[i] * x[at + i]
    }
    const rms = Math.sqrt(squares / width + eps)
    for (let i = 0; i < width; i++) {
      dx[at + i] = (dy[at + i] * weight[i]) / rms - (x[at + i] * along) / (width * rms ** 3)
    }
  }
  return dx
}

/** x [rows, heads * headDim]; table [positions, headDim]: cosines, then sines. Direction -1 turns back. */
export function rotary(
  x: Numbers,
  table: Numbers,
  positions: Numbers,
  headDim: number,
  direction: 1 | -1,
): Float64Array {
  const y = new Float64Array(x.length)
  const half = headDim / 2
  const width = x.length / positions.length
  for (let at = 0; at < x.length; at += headDim) {
    const position = positions[Math.floor(at / width)]
    for (let i = 0; i < half; i++) {
      const cos = table[position * headDim + i]
      const sin = direction * table[position * headDim + half + i]
      y[at + i] = x[at + i] * cos - x[at + half + i] * sin
      y[at + half + i] = x[at + half + i] * cos + x[at + i] * sin
    }
  }
  return y
}

/** cos and sin of position / theta^(2i / headDim): [positions, headDim]. */
export function rotaryTable(positions: number, headDim: number, theta: number): Float64Array {
  const table = new Float64Array(positions * headDim)
  const half = headDim / 2
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      const angle = p * theta ** (-i / half)
      table[p * headDim + i] = Math.cos(angle)
      table[p * headDim + half + i] = Math.sin(angle)
    }
  }
  return table
}

/** Softmax over the keys that query `t` may see, of q_t · k / sqrt(headDim); 0 before its segment. */
function attentionRow(
  q: Numbers,
  k: Numbers,
  shape: AttentionShape,
  b: number,
  t: number,
  h: number,
  segments?: Numbers,
) {
  const { tokens, heads, kvHeads, headDim, causal } = shape
  const kv = Math.floor(h / (heads / kvHeads))
  const qAt = ((b * tokens + t) * heads + h) * headDim
  const seen = causal ? t + 1 : tokens
  const keyAt = (s: number) => ((b * tokens + s) * kvHeads + kv) * headDim
  const first = segments?.[b * tokens + t] ?? 0
  const scores = Float64Array.from({ length: seen }, (_, s) => {
    if (s < first) return Number.NEGATIVE_INFINITY
    let dot = 0
    for (let i = 0; i < headDim; i++) dot += q[qAt + i] * k[keyAt(s) + i]
    return dot / Math.sqrt(headDim)
  })
  const largest = Math.max(...scores)
  const logSumExp = largest + Math.log(scores.reduce((total, score) => total + Math.exp(score - largest), 0))
  return { qAt, keyAt, probabilities: scores.map((score) => Math.exp(score - logSumExp)), logSumExp }
}

export function attention(q: Numbers, k: Numbers, v: Numbers, shape: AttentionShape, segments?: Numbers) {
  const { batch, tokens, heads, headDim } = shape
  const out = new Float64Array(batch * tokens * heads * headDim)
  const logSumExp = new Float64Array(batch * tokens * heads)
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < tokens; t++) {
      for (let h = 0; h < heads; h++) {
        const row = attentionRow(q, k, shape, b, t, h, segments)
        logSumExp[(b * tokens + t) * heads + h] = row.logSumExp
        row.probabilities.forEach((p, s) => {
          for (let i = 0; i < headDim; i++) out[row.qAt + i] += p * v[row.keyAt(s) + i]
        })
      }
    }
  }
  return { out, logSumExp }
}

export function attentionBackward(
  dOut: Numbers,
  q: Numbers,
  k: Numbers,
  v: Numbers,
  shape: AttentionShape,
  segments?: Numbers,
) {
  const { batch, tokens, heads, headDim } = shape
  const dq = new Float64Array(q.length)
  const dk = new Float64Array(k.length)
  const dv = new Float64Array(v.length)
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < tokens; t++) {
      for (let h = 0; h < heads; h++) {
        const { qAt, keyAt, probabilities } = attentionRow(q, k, shape, b, t, h, segments)
        const dProbabilities = probabilities.map((_, s) => {
          let dot = 0
          for (let i = 0; i < headDim; i++) dot += dOut[qAt + i] * v[keyAt(s) + i]
          return dot
        })
        const mean = probabilities.reduce((total, p, s) => total + p * dProbabilities[s], 0)
        probabilities.forEach((p, s) => {
          const dScore = (p * (dProbabilities[s] - mean)) / Math.sqrt(headDim)
          for (let i = 0; i < headDim; i++) {
            dq[qAt + i] += dScore * k[keyAt(s) + i]
            dk[keyAt(s) + i] += dScore * q[qAt + i]
            dv[keyAt(s) + i] += p * dOut[qAt + i]
          }
        })
      }
    }
  }
  return { dq, dk, dv }
}

const logistic = (x: number) => 1 / (1 + Math.exp(-x))

export function swiglu(gate: Numbers, up: Numbers): Float64Array {
  return Float64Array.from(gate, (g, i) => g * logistic(g) * up[i])
}

export function swigluBackward(dy: Numbers, gate: Numbers, up: Numbers) {
  return {
    dUp: Float64Array.from(gate, (g, i) => dy[i] * g * logistic(g)),
    dGate: Float64Array.from(gate, (g, i) => {
      const s = logistic(g)
      return dy[i] * up[i] * (s + g * s * (1 - s))
    }),
  }
}

/** x [rows, width], weight [vocabulary, width] -> nll [rows], and dx of sum(rowWeights * nll). */
export function linearCrossEntropy(
  x: Numbers,
  weight: Numbers,
  targets: Numbers,
  rowWeights: Numbers,
  rows: number,
  width: number,
  vocabulary: number,
) {
  const logits = product(x, transposed(weight, vocabulary, width), rows, width, vocabulary)
  const nll = new Float64Array(rows)
  const dLogits = new Float64Array(rows * vocabulary)
  for (let row = 0; row < rows; row++) {
    if (rowWeights[row] === 0) continue
    const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary)
    const largest = Math.max(...own)
    const logSumExp = largest + Math.log(own.reduce((total, logit) => total + Math.exp(logit - largest), 0))
    nll[row] = logSumExp - own[targets[row]]
    own.forEach((logit, id) => {
      const p = Math.exp(logit - logSumExp)
      dLogits[row * vocabulary + id] = rowWeights[row] * (p - (id === targets[row] ? 1 : 0))
    })
  }
  return { nll, dx: product(dLogits, weight, rows, vocabulary, width) }
}

export interface AdamWHyper {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
  readonly maxNorm: number
}

/** The `step`-th step (from 1), in place, over all parameters as one vector; returns the gradient norm. */
export function adamw(
  values: Float64Array,
  first: Float64Array,
  second: Float64Array,
  gradient: Numbers,
  step: number,
  hyper: AdamWHyper,
): number {
  let squares = 0
  for (let i = 0; i < values.length; i++) squares += gradient[i] ** 2
  const norm = Math.sqrt(squares)
  const clip = hyper.maxNorm > 0 ? Math.min(1, hyper.maxNorm / (norm + 1e-6)) : 1
  for (let i = 0; i < values.length; i++) {
    const g = gradient[i] * clip
    values[i] *= 1 - hyper.learningRate * hyper.weightDecay
    first[i] = hyper.beta1 * first[i] + (1 - hyper.beta1) * g
    second[i] = hyper.beta2 * second[i] + (1 - hyper.beta2) * g * g
    const mean = first[i] / (1 - hyper.beta1 ** step)
    const deviation = Math.sqrt(second[i] / (1 - hyper.beta2 ** step))
    values[i] -= (hyper.learningRate * mean) / (deviation + hyper.epsilon)
  }
  return norm
}
