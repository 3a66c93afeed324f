/** How many numbers each participant of a room trains, and sends the change of. */
import type { Manifest } from './manifest.ts'

export function trainedNumbers({
  form = 'lora',
  rank,
  modules,
}: Pick<Manifest['adapter'], 'form' | 'rank' | 'modules'>): number {
  const trained = ({ inFeatures, outFeatures }: Manifest['adapter']['modules'][number]) => {
    if (form === 'lora-sb') return rank * rank
    return form === 'ffa' ? rank * outFeatures : rank * (inFeatures + outFeatures)
  }
  return modules.reduce((sum, module) => sum + trained(module), 0)
}
