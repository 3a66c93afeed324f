/**
 * FLoRIST: the exact weighted mean of the clients' deltas, published as one adapter of the smallest rank that
 * keeps a share tau of its energy. Ramesh et al. 2025, https://arxiv.org/abs/2506.09199
 *
 *   dW = sum p_k s_k B_k A_k = [p_1 s_1 B_1, ...] [A_1; ...],   p_k = n_k / sum n,  s_k = alpha_k / rank_k
 *
 * dW is never formed. With stacked factors B [out, R] and A [R, in] (R the sum of the ranks), two thin QRs,
 * B = Qb Rb and Aᵀ = Qa Ra, leave a core Rb Raᵀ of at most R by R that has dW's singular values:
 * core = U S Vᵀ, so B' = Qb U sqrt(S) and A' = sqrt(S) (Qa V)ᵀ. The first r of them are kept, r the smallest
 * with sum of sigma_i², i <= r, at least tau of the sum of all. Alpha equals the rank, so the scale is 1.
 *
 * Not linear, so it is computed anew from the stored updates, in the order of their digests. Ranks differ from
 * module to module; a module that nobody changed gets rank 1 and zeros, since PEFT knows no rank 0.
 */
import { type Adapter, type LoraFactors, loraA, loraB } from '../../models/adapters/adapter.ts'
import type { Contribution } from './contribution.ts'
import { MergeError } from './errors.ts'
import { type Columns, thinQr } from './qr.ts'
import { singularParts } from './svd.ts'

/** `updates` sorted by digest, as contributionSet gives them. */
export function florist(initial: Adapter, updates: readonly Contribution[], tau: number): Adapter {
  checkTau(tau)
  const examples = updates.reduce((sum, update) => sum + update.examples, 0)
  const modules = new Map<string, LoraFactors>()
  for (const [name, start] of initial.modules) {
    const stack = new FactorStack(start.inFeatures, start.outFeatures)
    for (const update of updates) {
      const a = update.change.get(loraA(name))!
      const b = update.change.get(loraB(name))!
      const weight = (update.examples / examples) * (start.alpha / start.rank)
      stack.push(
        start.rank,
        weight,
        (i) => start.a[i]! + a[i]!,
        (i) => start.b[i]! + b[i]!,
      )
    }
    modules.set(name, { ...start, ...stack.compress(tau) })
  }
  return { modules }
}

/** The same over finished adapters, whose ranks may differ. `weights` sum to 1. */
export function floristAdapters(
  adapters: readonly Adapter[],
  weights: readonly number[],
  tau: number,
): Adapter {
  checkTau(tau)
  const modules = new Map<string, LoraFactors>()
  for (const [name, first] of adapters[0]!.modules) {
    const stack = new FactorStack(first.inFeatures, first.outFeatures)
    adapters.forEach((adapter, k) => {
      const { rank, alpha, a, b } = adapter.modules.get(name)!
      stack.push(
        rank,
        weights[k]! * (alpha / rank),
        (i) => a[i]!,
        (i) => b[i]!,
      )
    })
    modules.set(name, { ...first, ...stack.compress(tau) })
  }
  return { modules }
}

function checkTau(tau: number) {
  if (!(tau > 0 && tau <= 1)) {
    throw new MergeError(
      'merge/strategy',
      `tau is the share of energy kept, above 0 and at most 1, not ${tau}.`,
    )
  }
}

/** [B_1, ...] and [A_1; ...]ᵀ of one module, as columns: R of [out] and R of [in]. */
class FactorStack {
  readonly #inFeatures: number
  readonly #outFeatures: number
  readonly #a: Float64Array[] = []
  readonly #b: Float64Array[] = []

  constructor(inFeatures: number, outFeatures: number) {
    this.#inFeatures = inFeatures
    this.#outFeatures = outFeatures
  }

  /** `a(i)`, `b(i)`: entries of A [rank, in] and B [out, rank], row-major. */
  push(rank: number, weight: number, a: (i: number) => number, b: (i: number) => number) {
    for (let r = 0; r < rank; r++) {
      this.#a.push(Float64Array.from({ length: this.#inFeatures }, (_, i) => a(r * this.#inFeatures + i)))
      this.#b.push(Float64Array.from({ length: this.#outFeatures }, (_, o) => weight * b(o * rank + r)))
    }
  }

  compress(tau: number): Pick<LoraFactors, 'rank' | 'alpha' | 'a' | 'b'> {
    const terms = balancedTerms(this.#b, this.#outFeatures, this.#a, this.#inFeatures, tau)
    const rank = Math.max(1, terms.length)
    const a = new Float32Array(rank * this.#inFeatures)
    const b = new Float32Array(this.#outFeatures * rank)
    terms.forEach(({ left, right }, r) => {
      a.set(right, r * this.#inFeatures)
      for (let o = 0; o < this.#outFeatures; o++) b[o * rank + r] = left[o]!
    })
    return { rank, alpha: rank, a, b }
  }
}

interface Term {
  /** u sqrt(sigma) */
  readonly left: Float64Array
  /** v sqrt(sigma) */
  readonly right: Float64Array
}

/** The leading terms of left rightᵀ's singular value decomposition, as many as keep tau of its energy. */
function balancedTerms(
  left: Columns,
  leftRows: number,
  right: Columns,
  rightRows: number,
  tau: number,
): Term[] {
  const qrLeft = thinQr(left, leftRows)
  const qrRight = thinQr(right, rightRows)
  const core = timesTransposed(qrLeft.r, qrRight.r) // [min(leftRows, R), min(rightRows, R)]
  const parts = singularParts(core)
  const energies = parts.map(({ sigma }) => sigma * sigma)
  return parts.slice(0, smallestRank(energies, tau)).map(({ sigma, scaledRight }) => {
    const root = Math.sqrt(sigma)
    // u = core v / sigma: the product is then core projected onto v, accurate even where sigma is small.
    const u = times(core, scaledRight).map((value) => value / sigma / sigma)
    return {
      left: qrLeft.applyQ(u.map((value) => value * root)),
      right: qrRight.applyQ(scaledRight.map((value) => value / root)),
    }
  })
}

/** Smallest count of leading energies whose sum reaches tau of all; 0 where there are none. */
export function smallestRank(energies: readonly number[], tau: number): number {
  const total = energies.reduce((sum, energy) => sum + energy, 0)
  let kept = 0
  for (let r = 0; r < energies.length; r++) {
    kept += energies[r]!
    if (kept >= tau * total) return r + 1
  }
  return energies.length
}

/** X Yᵀ for X [m, R] and Y [n, R], columns in, columns out. */
function timesTransposed(x: Columns, y: Columns): Float64Array[] {
  const rows = x[0]!.length
  return Array.from({ length: y[0]!.length }, (_, j) => {
    const out = new Float64Array(rows)
    for (let r = 0; r < x.length; r++) {
      const factor = y[r]![j]!
      if (factor === 0) continue // R is triangular
      const column = x[r]!
      for (let i = 0; i < rows; i++) out[i]! += column[i]! * factor
    }
    return out
  })
}

/** X v for X [m, n] as columns. */
function times(x: Columns, v: Float64Array): Float64Array {
  const out = new Float64Array(x[0]!.length)
  x.forEach((column, j) => {
    for (let i = 0; i < out.length; i++) out[i]! += column[i]! * v[j]!
  })
  return out
}
