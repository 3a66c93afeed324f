/**
 * FedIT: average the factors. Zhang et al. 2023, https://arxiv.org/abs/2305.05644 ; it is also what the
 * one-shot paper's code does (https://arxiv.org/abs/2412.04650).
 *
 *   A = sum p_k A_k,  B = sum p_k B_k,  p_k = n_k / sum n
 *
 * Cheap and linear, but B A is not the mean of the clients' B_k A_k: it is off by sum p_k (B_k - B)(A_k - A).
 * K clients of rank r: K r (in + out) a module, or r (in + out) for one client more or less (factor-sum.ts).
 * One rank and alpha for all. Weights: example counts.
 */
import type { Adapter, LoraFactors } from '../../models/adapters/adapter.ts'
import type { Contribution } from './contribution.ts'
import { MergeError } from './errors.ts'
import { addFixedPoint, meanOfFixedPoint } from './factor-sum.ts'
import { mergeTrained } from './frozen-form.ts'
import type { RoundStart } from './round-start.ts'
import type { ModuleMerge } from './strategies.ts'

/** Over checked updates; whatever the form trains is averaged. The same bits as FactorSum, module by module. */
export function fedit(start: RoundStart, updates: readonly Contribution[]): ModuleMerge {
  const examples = updates.reduce((sum, update) => sum + update.examples, 0)
  return mergeTrained(start, (tensor, values) => {
    const sum = new Float64Array(values.length)
    for (const update of updates) addFixedPoint(sum, update.change.get(tensor)!, update.examples)
    return meanOfFixedPoint(values, sum, examples)
  })
}

/** The same mean over finished adapters, in doubles; all of one rank. `weights` sum to 1. */
export function feditAdapters(adapters: readonly Adapter[], weights: readonly number[]): Adapter {
  const modules = new Map<string, LoraFactors>()
  for (const [name, first] of adapters[0]!.modules) {
    const all = adapters.map((adapter) => adapter.modules.get(name)!)
    const odd = all.find(({ rank, alpha }) => rank !== first.rank || alpha !== first.alpha)
    if (odd) {
      throw new MergeError(
        'merge/shape',
        `Averaging factors (fedit) needs one rank and alpha, but ${name} has rank ${first.rank}, alpha ${first.alpha} in one adapter and rank ${odd.rank}, alpha ${odd.alpha} in another: use florist.`,
      )
    }
    const mean = (pick: (factors: LoraFactors) => Float32Array) =>
      pick(first).map((_, i) => all.reduce((sum, factors, k) => sum + weights[k]! * pick(factors)[i]!, 0))
    modules.set(name, { ...first, a: mean(({ a }) => a), b: mean(({ b }) => b) })
  }
  return { modules }
}
