/**
 * A weighted sum of the clients' deltas of one module that is never formed: its factors, stacked.
 *
 *   sum w_k s_k B_k A_k = [w_1 s_1 B_1, ...] [A_1; ...] = B A,   B [out, R], A [R, in], R the sum of the ranks
 *
 * Two thin QRs, B = Qb Rb and Aᵀ = Qa Ra, leave a core Rb Raᵀ of at most R by R that has the sum's singular
 * values: core = U S Vᵀ gives Qb U sqrt(S) and sqrt(S) (Qa V)ᵀ (FLoRIST, https://arxiv.org/abs/2506.09199).
 *
 * Where R comes near the smaller side of the matrix, forming this one sum is cheaper than the QRs: half of it and more
 * are decomposed as a dense matrix (dense-terms.ts).
 *
 * Memory R (in + out) doubles; time R² (in + out) for the QRs and R³ for the core, and never more than
 * min(in, out)² max(in, out) once R is formed, with R in out for forming it.
 */
import type { AdapterModule, LoraFactors } from '../../models/adapters/adapter.ts'
import type { Client, Factors } from './client.ts'
import { leadingTermsOfDense } from './dense-terms.ts'
import { FEW, factorsOf, leadingTerms, type MergedDelta } from './merged-delta.ts'
import { type Matrix, matrixOf, timesTransposed, transposed } from './products.ts'
import { type Columns, thinQr } from './qr.ts'
import type { RankLimit } from './rank-limit.ts'

/** Formed where R is the smaller side's half or more. */
const DENSE_SHARE = 2

export class FactorStack implements MergedDelta {
  readonly #module: AdapterModule
  readonly #a: Float64Array[] = []
  readonly #b: Float64Array[] = []

  constructor(module: AdapterModule) {
    this.#module = module
  }

  push(weight: number, { rank, scale, a, b }: Factors): void {
    const { inFeatures, outFeatures } = this.#module
    const factor = weight * scale
    for (let r = 0; r < rank; r++) {
      this.#a.push(a.subarray(r * inFeatures, (r + 1) * inFeatures))
      const column = new Float64Array(outFeatures)
      for (let o = 0; o < outFeatures; o++) column[o] = factor * b[o * rank + r]!
      this.#b.push(column)
    }
  }

  /** Without any arithmetic: rank R, which may exceed the smaller side of the matrix. */
  stacked(): LoraFactors {
    return factorsOf(
      this.#module,
      this.#b.map((left, r) => ({ left, right: this.#a[r]! })),
    )
  }

  /** At the sum's own rank, where it is less than R. */
  exact(): LoraFactors {
    return this.reduced({})
  }

  reduced(limit: RankLimit): LoraFactors {
    const { inFeatures, outFeatures } = this.#module
    if (this.#a.length * DENSE_SHARE >= Math.min(inFeatures, outFeatures) && this.#a.length > FEW) {
      return factorsOf(this.#module, leadingTermsOfDense(this.#formed(), limit))
    }
    const left = thinQr(this.#b, outFeatures)
    const right = thinQr(this.#a, inFeatures)
    const core = timesTransposedColumns(left.r, right.r) // [min(out, R), min(in, R)]
    const terms = leadingTerms(core, limit)
    const lefts = left.applyQ(terms.map((term) => term.left))
    const rights = right.applyQ(terms.map((term) => term.right))
    return factorsOf(
      this.#module,
      lefts.map((l, i) => ({ left: l, right: rights[i]! })),
    )
  }

  /** B A [out, in] */
  #formed(): Matrix {
    return timesTransposed(transposed(matrixOf(this.#b)), transposed(matrixOf(this.#a)))
  }
}

/** `weights[k]` belongs to `clients[k]`. */
export function weightedStack(
  module: AdapterModule,
  clients: readonly Client[],
  weights: readonly number[],
): FactorStack {
  const stack = new FactorStack(module)
  clients.forEach((client, k) => {
    stack.push(weights[k]!, client.factors(module))
  })
  return stack
}

/** sum p_k D_k, p_k the share of the examples. */
export function weightedMean(module: AdapterModule, clients: readonly Client[]): FactorStack {
  return weightedStack(
    module,
    clients,
    clients.map(({ weight }) => weight),
  )
}

/** X Yᵀ for X [m, R] and Y [n, R], columns in, columns out. */
function timesTransposedColumns(x: Columns, y: Columns): Float64Array[] {
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
