/**
 * Inner products of the clients' whole deltas, without forming one:
 *
 *   <D_j, D_k> = sum over modules of s_j s_k sum of (B_jᵀ B_k) ⊙ (A_j A_kᵀ)
 *
 * K clients of rank r: r² (in + out) a pair and module.
 */
import type { AdapterModule } from '../../models/adapters/adapter.ts'
import type { Client, Factors } from './client.ts'

/** [K, K], symmetric. */
export function gramMatrix(modules: readonly AdapterModule[], clients: readonly Client[]): Float64Array[] {
  const gram = clients.map(() => new Float64Array(clients.length))
  for (const module of modules) {
    const factors = clients.map((client) => client.factors(module))
    for (let j = 0; j < clients.length; j++) {
      for (let k = 0; k <= j; k++) gram[j]![k]! += innerProduct(module, factors[j]!, factors[k]!)
    }
  }
  for (let j = 0; j < clients.length; j++) for (let k = 0; k < j; k++) gram[k]![j] = gram[j]![k]!
  return gram
}

/** L2 norms of the whole deltas. */
export function deltaNorms(modules: readonly AdapterModule[], clients: readonly Client[]): number[] {
  return clients.map((client) => {
    const squares = modules.reduce((sum, module) => {
      const factors = client.factors(module)
      return sum + innerProduct(module, factors, factors)
    }, 0)
    return Math.sqrt(Math.max(0, squares)) // rounding may leave a little less than nothing
  })
}

function innerProduct({ inFeatures, outFeatures }: AdapterModule, x: Factors, y: Factors): number {
  let sum = 0
  for (let p = 0; p < x.rank; p++) {
    for (let q = 0; q < y.rank; q++) {
      let ofA = 0
      for (let i = 0; i < inFeatures; i++) ofA += x.a[p * inFeatures + i]! * y.a[q * inFeatures + i]!
      let ofB = 0
      for (let o = 0; o < outFeatures; o++) ofB += x.b[o * x.rank + p]! * y.b[o * y.rank + q]!
      sum += ofA * ofB
    }
  }
  return x.scale * y.scale * sum
}
