/**
 * Where every client of a room begins: the same A0, drawn from the manifest's seed, and B = 0, so that the
 * adapter changes nothing yet. A is uniform in (-1/sqrt(in), 1/sqrt(in)), as PEFT initialises it (Kaiming
 * uniform with a = sqrt(5)). Every operation is exact or correctly rounded, so all engines get the same bits.
 */
import { type Adapter, type AdapterShape, type LoraFactors, loraA } from './adapter.ts'
import { philox4x32, seedKey } from './random.ts'

/** Element i of tensor NAME comes from word i % 4 of counter [floor(i / 4), 0, 0, 0] under key (seed, NAME). */
export function initialAdapter(shape: AdapterShape, seed: string): Adapter {
  const modules = new Map<string, LoraFactors>()
  const words = new Uint32Array(4)
  for (const module of shape.modules) {
    const key = seedKey(seed, loraA(module.name))
    const bound = 1 / Math.sqrt(module.inFeatures)
    const a = new Float32Array(shape.rank * module.inFeatures) // [rank, inFeatures]
    for (let i = 0; i < a.length; i++) {
      if (i % 4 === 0) philox4x32([i / 4, 0, 0, 0], key, words)
      const uniform = (words[i % 4] >>> 8) * 2 ** -24 // [0, 1)
      a[i] = (2 * uniform - 1) * bound
    }
    modules.set(module.name, {
      ...module,
      rank: shape.rank,
      alpha: shape.alpha,
      a,
      b: new Float32Array(module.outFeatures * shape.rank), // [outFeatures, rank]
    })
  }
  return { modules }
}
