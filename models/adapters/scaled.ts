/** An adapter whose change is multiplied, by its B: what a merge scale, lambda, does to what is published. */
import type { Adapter, LoraFactors } from './adapter.ts'

export const scaledAdapter = ({ modules }: Adapter, lambda: number): Adapter => ({
  modules: new Map([...modules].map(([name, factors]) => [name, scaledFactors(factors, lambda)])),
})

export function scaledFactors(factors: LoraFactors, lambda: number): LoraFactors {
  return lambda === 1 ? factors : { ...factors, b: factors.b.map((value) => lambda * value) }
}
