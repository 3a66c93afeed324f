/**
 * Where every client of a room begins, an adapter that changes nothing yet. LoRA and FFA: the same A0, drawn from the
 * manifest's seed, and B = 0. A is uniform in (-1/sqrt(in), 1/sqrt(in)), as PEFT initialises it (Kaiming uniform with
 * a = sqrt(5)). Every operation is exact or correctly rounded, so all engines get the same bits. LoRA-SB: A and B of
 * the room's start file, and R = 0.
 */
import { type Adapter, type AdapterShape, type LoraFactors, loraA } from './adapter.ts'
import { philox4x32, seedKey } from './random.ts'
import { readStart } from './start.ts'

/**
 * `start`: the bytes of the start file, for LoRA-SB alone. Throws FormatError `start/malformed`, and RangeError where
 * a form with a start file gets none.
 */
export function startOf(shape: AdapterShape, seed: string, start: Uint8Array | null): Adapter {
  if (shape.form !== 'lora-sb') return initialAdapter(shape, seed)
  if (!start) throw new RangeError('a lora-sb adapter starts from a file')
  return readStart(start, shape)
}

/** Element i of tensor NAME comes from word i % 4 of counter [floor(i / 4), 0, 0, 0] under key (seed, NAME). */
export function initialAdapter(shape: AdapterShape, seed: string): Adapter {
  if (shape.form === 'lora-sb') throw new RangeError('a lora-sb adapter is not drawn from a seed')
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
