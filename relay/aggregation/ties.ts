/**
 * TIES: trim, elect sign, merge. Yadav et al. 2023, https://arxiv.org/abs/2306.01708
 *
 *   trim:  keep of every delta D_k the floor(density n) entries of largest magnitude, zero for the rest
 *   elect: the sign of the trimmed entries' sum
 *   merge: the mean of the trimmed entries of that sign, 0 if there are none or the sum is 0
 *
 * n counts the entries of the whole model, as in the paper, or (scope `module`) of each matrix by itself. Magnitudes
 * are compared as float32, and all entries equal to the last one kept stay: no order of entries decides.
 *
 * Unweighted. Ranks may differ. K clients of rank r: out in K r a module, three times (two passes find the last
 * magnitude kept, 16 bits each, in 512 KiB), and one merged matrix [out, in] at a time in memory (dense-delta.ts).
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client } from './client.ts'
import { type DenseDelta, mergeRows, rowWriter } from './dense-delta.ts'
import { checkDensity } from './density.ts'
import { shareOf } from './share.ts'

export interface TiesOptions {
  readonly density: number
  /** Where entries compete: in the whole model (the default) or in each module. */
  readonly scope?: 'model' | 'module' | undefined
}

/** The thresholds of scope `model` are found at once; the modules are then merged one by one. */
export function ties(
  modules: readonly AdapterModule[],
  clients: readonly Client[],
  { density, scope }: TiesOptions,
): (module: AdapterModule) => DenseDelta {
  checkDensity(density)
  if (scope === 'module') {
    return (module) =>
      mergeTrimmed(
        module,
        clients,
        clients.map((client) => lastKept([module], client, density)),
      )
  }
  const thresholds = clients.map((client) => lastKept(modules, client, density))
  return (module) => mergeTrimmed(module, clients, thresholds)
}

/** `thresholds[k]`: the smallest float32 magnitude that client k keeps. */
function mergeTrimmed(
  module: AdapterModule,
  clients: readonly Client[],
  thresholds: readonly number[],
): DenseDelta {
  return mergeRows(module, clients, (rows, out) => {
    for (let i = 0; i < out.length; i++) {
      let positive = 0
      let negative = 0
      let positives = 0
      let negatives = 0
      for (let k = 0; k < rows.length; k++) {
        const value = rows[k]![i]!
        if (Math.fround(Math.abs(value)) < thresholds[k]!) continue
        if (value > 0) {
          positive += value
          positives++
        } else if (value < 0) {
          negative += value
          negatives++
        }
      }
      const sum = positive + negative
      if (sum > 0) out[i] = positive / positives
      else if (sum < 0) out[i] = negative / negatives
    }
  })
}

const magnitude = new Float32Array(1)
const magnitudeBits = new Uint32Array(magnitude.buffer)

/** The smallest magnitude among the floor(density n) largest of a client's delta; infinity where none is kept. */
function lastKept(modules: readonly AdapterModule[], client: Client, density: number): number {
  const entries = modules.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, 0)
  const kept = shareOf(density, entries)
  if (kept === 0) return Infinity
  // A magnitude's bits, read as a whole number, are in the order of the magnitudes.
  const upper = new Float64Array(2 ** 16)
  forEachMagnitude(modules, client, (bits) => {
    upper[bits >>> 16]!++
  })
  const high = fromTop(upper, kept)
  const lower = new Float64Array(2 ** 16)
  forEachMagnitude(modules, client, (bits) => {
    if (bits >>> 16 === high.index) lower[bits & 0xffff]!++
  })
  magnitudeBits[0] = high.index * 2 ** 16 + fromTop(lower, kept - high.above).index
  return magnitude[0]!
}

function forEachMagnitude(
  modules: readonly AdapterModule[],
  client: Client,
  visit: (bits: number) => void,
): void {
  for (const module of modules) {
    const write = rowWriter(module, client)
    const row = new Float64Array(module.inFeatures)
    for (let o = 0; o < module.outFeatures; o++) {
      write(o, row)
      for (let i = 0; i < row.length; i++) {
        magnitude[0] = Math.abs(row[i]!)
        visit(magnitudeBits[0]!)
      }
    }
  }
}

/** Where the `count`-th largest lies in a histogram, and how many lie above that place. */
function fromTop(histogram: Float64Array, count: number): { index: number; above: number } {
  let above = 0
  let index = histogram.length - 1
  while (index > 0 && above + histogram[index]! < count) above += histogram[index--]!
  return { index, above }
}
