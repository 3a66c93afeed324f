/**
 * For strategies that decide entry by entry: the clients' rows of one module's delta are formed side by side, one
 * row at a time, and only the merged matrix [out, in] is kept.
 *
 * K clients of rank r: time K r out in for the rows; memory K in + out in doubles and the module's factors.
 * Published exactly, the rank is the smaller side of the matrix: one factor is the merged matrix and the other
 * the identity, so no digit is lost and nothing is computed. A limit on rank or energy costs a singular value
 * decomposition (dense-terms.ts): some 0.4 s for 1536 x 576, growing with the cube of the smaller side.
 */
import type { AdapterModule, LoraFactors } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { factorsOf, leadingTerms, type MergedDelta } from './merged-delta.ts'
import type { RankLimit } from './rank-limit.ts'

export class DenseDelta implements MergedDelta {
  readonly #module: AdapterModule
  /** [out, in], row-major */
  readonly #entries: Float64Array

  constructor(module: AdapterModule, entries: Float64Array) {
    this.#module = module
    this.#entries = entries
  }

  exact(): LoraFactors {
    const { name, inFeatures, outFeatures } = this.#module
    if (this.#entries.every((entry) => entry === 0)) return factorsOf(this.#module, [])
    const rank = Math.min(inFeatures, outFeatures)
    const identity = new Float32Array(rank * rank)
    for (let r = 0; r < rank; r++) identity[r * rank + r] = 1
    const merged = Float32Array.from(this.#entries)
    const [a, b] = inFeatures <= outFeatures ? [identity, merged] : [merged, identity]
    return { name, inFeatures, outFeatures, rank, alpha: rank, a, b }
  }

  reduced(limit: RankLimit): LoraFactors {
    const { inFeatures, outFeatures } = this.#module
    const entries = this.#entries
    // As few columns as possible: the decomposition's triangle is then the small one.
    if (inFeatures <= outFeatures) {
      const columns = Array.from({ length: inFeatures }, (_, i) =>
        Float64Array.from({ length: outFeatures }, (_, o) => entries[o * inFeatures + i]!),
      )
      return factorsOf(this.#module, leadingTerms(columns, limit))
    }
    const rows = Array.from({ length: outFeatures }, (_, o) =>
      entries.subarray(o * inFeatures, (o + 1) * inFeatures),
    )
    const transposed = leadingTerms(rows, limit)
    return factorsOf(
      this.#module,
      transposed.map(({ left, right }) => ({ left: right, right: left })),
    )
  }
}

/**
 * Calls `merge` for each row of the module's delta: `rows[k]` [in] is client k's, `out` [in] zeros to be filled,
 * `firstEntry` the index of the row's first entry in [out, in].
 */
export function mergeRows(
  module: AdapterModule,
  clients: readonly Client[],
  merge: (rows: readonly Float64Array[], out: Float64Array, firstEntry: number) => void,
): DenseDelta {
  const { inFeatures, outFeatures } = module
  const writers = clients.map((client) => rowWriter(module, client))
  const rows = clients.map(() => new Float64Array(inFeatures))
  const merged = new Float64Array(outFeatures * inFeatures)
  for (let o = 0; o < outFeatures; o++) {
    writers.forEach((write, k) => {
      write(o, rows[k]!)
    })
    const firstEntry = o * inFeatures
    merge(rows, merged.subarray(firstEntry, firstEntry + inFeatures), firstEntry)
  }
  return new DenseDelta(module, merged)
}

/** Writes row o of scale B A. */
export function rowWriter(module: AdapterModule, client: Client): (o: number, row: Float64Array) => void {
  const { inFeatures } = module
  const { rank, scale, a, b } = client.factors(module)
  return (o, row) => {
    row.fill(0)
    for (let r = 0; r < rank; r++) {
      const factor = scale * b[o * rank + r]!
      const from = r * inFeatures
      for (let i = 0; i < inFeatures; i++) row[i]! += factor * a[from + i]!
    }
  }
}

/** An entry-by-entry rule that needs no order of the clients: it sees their values in ascending order. */
export function mergeSortedEntries(
  module: AdapterModule,
  clients: readonly Client[],
  rule: (ascending: Float64Array) => number,
): DenseDelta {
  const values = new Float64Array(clients.length)
  return mergeRows(module, clients, (rows, out) => {
    for (let i = 0; i < out.length; i++) {
      for (let k = 0; k < rows.length; k++) values[k] = rows[k]![i]!
      out[i] = rule(values.sort())
    }
  })
}
