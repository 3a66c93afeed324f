/**
 * What of a manifest's terms this relay carries out. The schema knows more than that, so that a client written for a
 * later relay can say what it means; the host's console offers only this.
 */
import type { Offer } from '../protocol/host.ts'

export const SUPPORTED = {
  forms: ['lora', 'ffa', 'lora-sb'],
  strategies: [
    'florist',
    'fedit',
    'stack',
    'svd',
    'task',
    'ties',
    'dare',
    'median',
    'trimmed-mean',
    'rfa',
    'ffa',
    'lora-sb',
  ],
  modes: ['one-shot', 'rounds', 'sequential'],
  privacy: true,
  approval: true,
  gate: true,
} satisfies Omit<Offer, 'joinBase' | 'models'>
