/**
 * The fixed A and B of a LoRA-SB room, as a file: safetensors with PEFT's tensor names, F32, module by module. Every
 * client and the relay take them from there, because they come from the base weights (base-start.ts) and not from a
 * seed alone.
 */
import { FormatError } from '../errors.ts'
import {
  bytesOf,
  parseSafetensors,
  type SafetensorsInput,
  safetensorsBytes,
  toFloat32,
  writeSafetensors,
} from '../formats/safetensors.ts'
import { type Adapter, type AdapterShape, factorSpecs, factorsOf, type LoraFactors } from './adapter.ts'

/** Beside the files of its base: one a rank. */
export const startFileName = (rank: number) => `lora-sb-rank-${rank}.safetensors`

const METADATA = { format: 'pt' }

export function writeStart(adapter: Adapter): Uint8Array {
  const tensors = [...adapter.modules.values()].flatMap(({ r: _, ...factors }) =>
    factorsOf(factors, 'lora').map(
      ({ name, shape, values }): SafetensorsInput => ({
        name,
        dtype: 'F32',
        shape,
        bytes: bytesOf(values),
      }),
    ),
  )
  return writeSafetensors(tensors, METADATA)
}

/** Bytes of the file for this shape. */
export function startBytes({ modules, rank }: AdapterShape): number {
  const entries = modules.flatMap((module) =>
    factorSpecs(module, rank, 'lora').map(({ name, shape }) => ({ name, dtype: 'F32' as const, shape })),
  )
  return safetensorsBytes(entries, METADATA)
}

/** A and B as the file has them and R = 0, so that nothing is changed yet. Throws FormatError `start/malformed`. */
export function readStart(bytes: Uint8Array, shape: AdapterShape): Adapter {
  const { tensors } = parseSafetensors(bytes)
  const { rank, alpha } = shape
  const modules = new Map<string, LoraFactors>()
  for (const module of shape.modules) {
    const [a, b] = factorSpecs(module, rank, 'lora').map((spec) => {
      const tensor = tensors.get(spec.name)
      if (!tensor) throw malformed(`it lacks ${spec.name}`)
      if (tensor.dtype !== 'F32' || tensor.shape.join() !== spec.shape.join()) {
        throw malformed(`its ${spec.name} is ${tensor.dtype} [${tensor.shape}], not F32 [${spec.shape}]`)
      }
      const values = toFloat32(tensor)
      if (!values.every(Number.isFinite)) throw malformed(`its ${spec.name} holds NaN or infinity`)
      return values
    })
    modules.set(module.name, { ...module, rank, alpha, a, b, r: new Float32Array(rank * rank) })
  }
  if (tensors.size !== 2 * shape.modules.length)
    throw malformed('it holds more than the factors of this room')
  return { modules }
}

const malformed = (what: string) =>
  new FormatError(
    'start/malformed',
    `The room's start file cannot be used: ${what}; ask the host to make the room again.`,
  )
