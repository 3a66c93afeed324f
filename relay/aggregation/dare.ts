/**
 * DARE: of every client's delta a random part is dropped and the rest scaled up to make good for it; then the
 * weighted mean. Yu et al. 2023, https://arxiv.org/abs/2311.03099
 *
 *   dW = sum p_k (M_k ⊙ D_k) / density,   M_k[o, i] = 1 with probability density, else 0
 *
 * Entry i (row-major) of client k's mask in module NAME is word i % 4 of Philox counter [floor(i / 4), 0, 0, 0]
 * under the key of (seed, "dare DIGEST NAME"), kept if it is below density 2^32: a function of seed, update and
 * module, so neither order nor company change it. Ranks may differ. Weights: example counts. K clients of rank r:
 * out in K r a module, one merged matrix [out, in] at a time in memory (dense-delta.ts).
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import { philox4x32, seedKey } from '../../models/adapters/random.ts'
import type { Client } from './client.ts'
import { type DenseDelta, mergeRows } from './dense-delta.ts'
import { checkDensity } from './density.ts'

export interface DareOptions {
  readonly density: number
  readonly seed: string
}

export function dare(
  module: AdapterModule,
  clients: readonly Client[],
  { density, seed }: DareOptions,
): DenseDelta {
  checkDensity(density)
  const masks = clients.map(({ digest }) => dropMask(seed, `dare ${digest} ${module.name}`, density))
  return mergeRows(module, clients, (rows, out, firstEntry) => {
    clients.forEach(({ weight }, k) => {
      const row = rows[k]!
      const keeps = masks[k]!
      for (let i = 0; i < out.length; i++) {
        if (keeps(firstEntry + i)) out[i]! += (weight / density) * row[i]!
      }
    })
  })
}

/** Entries may be asked for in any order; ascending is cheapest. */
function dropMask(seed: string, label: string, density: number): (entry: number) => boolean {
  const key = seedKey(seed, label)
  const words = new Uint32Array(4)
  const bound = density * 2 ** 32
  let drawn = -1
  return (entry) => {
    const block = Math.floor(entry / 4)
    if (block !== drawn) {
      philox4x32([block >>> 0, Math.floor(block / 2 ** 32), 0, 0], key, words)
      drawn = block
    }
    return words[entry % 4]! < bound
  }
}
