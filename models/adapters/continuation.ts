/**
 * Where training goes on from a version of its room: that version's numbers of what the form trains, as a file beside
 * it. What the form does not train stays as the manifest gives it. Safetensors with PEFT's tensor names, F32, module
 * by module.
 *
 * A version may have another rank than the room's adapters: it is laid into their rank, its scale shared by both
 * factors. Directions that it leaves free keep the initial A and B = 0, so they change nothing and can be trained.
 */
import { FormatError } from '../errors.ts'
import {
  bytesOf,
  parseSafetensors,
  type SafetensorsInput,
  toFloat32,
  writeSafetensors,
} from '../formats/safetensors.ts'
import { type Adapter, type AdapterForm, factorsOf, type LoraFactors } from './adapter.ts'

/** Beside a version's files, in rooms that go on from versions. */
export const CONTINUATION_FILE = 'start.safetensors'

export function writeContinuation(adapter: Adapter, form: AdapterForm): Uint8Array {
  const tensors = [...adapter.modules.values()].flatMap((module) =>
    factorsOf(module, form).flatMap(({ name, shape, values, trained }): SafetensorsInput[] =>
      trained ? [{ name, dtype: 'F32', shape, bytes: bytesOf(values) }] : [],
    ),
  )
  return writeSafetensors(tensors, { format: 'pt' })
}

/** `initial`: the room's own. Throws FormatError `start/malformed`. */
export function readContinuation(bytes: Uint8Array, initial: Adapter, form: AdapterForm): Adapter {
  const { tensors } = parseSafetensors(bytes)
  let expected = 0
  const modules = new Map<string, LoraFactors>()
  for (const module of initial.modules.values()) {
    const [a, b, r] = factorsOf(module, form).map(({ name, shape, values, trained }) => {
      if (!trained) return values
      expected++
      const tensor = tensors.get(name)
      if (tensor?.dtype !== 'F32' || tensor.shape.join() !== shape.join()) {
        throw malformed(`its ${name} is missing or not F32 [${shape}]`)
      }
      const read = toFloat32(tensor)
      if (!read.every(Number.isFinite)) throw malformed(`its ${name} holds NaN or infinity`)
      return read
    })
    modules.set(module.name, { ...module, a: a!, b: b!, ...(r && { r }) })
  }
  if (tensors.size !== expected) throw malformed('it holds more than this room trains')
  return { modules }
}

/** A plain LoRA adapter of at most the room's rank, laid into the room's initial one. Throws RangeError beyond it. */
export function laidInto(initial: Adapter, published: Adapter): Adapter {
  const modules = new Map<string, LoraFactors>()
  for (const [name, room] of initial.modules) {
    const from = published.modules.get(name)
    if (!from || from.rank > room.rank) throw new RangeError(`${name} does not fit the room's rank`)
    const share = Math.sqrt(from.alpha / from.rank / (room.alpha / room.rank))
    const a = room.a.slice() // [rank, inFeatures]
    const b = new Float32Array(room.b.length) // [outFeatures, rank]
    for (let i = 0; i < from.a.length; i++) a[i] = share * from.a[i]!
    for (let row = 0; row < room.outFeatures; row++) {
      for (let k = 0; k < from.rank; k++) b[row * room.rank + k] = share * from.b[row * from.rank + k]!
    }
    modules.set(name, { ...room, a, b })
  }
  return { modules }
}

const malformed = (what: string) =>
  new FormatError(
    'start/malformed',
    `The file that this round starts from cannot be used: ${what}; tell the host, and join again.`,
  )
