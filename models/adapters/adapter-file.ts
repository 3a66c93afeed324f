/**
 * An adapter as one file, to the bit and in its own form: what a browser keeps of a finished run, from which the
 * update is packed later. PEFT's folder cannot hold a LoRA-SB core apart from B.
 *
 * Safetensors, F32, PEFT's tensor names (and lora_R); metadata: format, version, `modules` (JSON).
 */
import { FormatError } from '../errors.ts'
import {
  bytesOf,
  parseSafetensors,
  type SafetensorsInput,
  toFloat32,
  writeSafetensors,
} from '../formats/safetensors.ts'
import {
  type Adapter,
  type AdapterModule,
  factorSpecs,
  factorsOf,
  formOf,
  type LoraFactors,
} from './adapter.ts'

const FORMAT = 'oneround-adapter'
const VERSION = '1'

interface StoredModule extends AdapterModule {
  readonly rank: number
  readonly alpha: number
}

export function writeAdapterFile(adapter: Adapter): Uint8Array {
  const form = formOf(adapter)
  const modules = [...adapter.modules.values()]
  const tensors = modules.flatMap((module) =>
    factorsOf(module, form).map(
      ({ name, shape, values }): SafetensorsInput => ({ name, dtype: 'F32', shape, bytes: bytesOf(values) }),
    ),
  )
  const stored = modules.map(
    ({ name, inFeatures, outFeatures, rank, alpha }): StoredModule => ({
      name,
      inFeatures,
      outFeatures,
      rank,
      alpha,
    }),
  )
  return writeSafetensors(tensors, {
    format: FORMAT,
    version: VERSION,
    form,
    modules: JSON.stringify(stored),
  })
}

/** Throws FormatError `adapter/malformed` for anything but what `writeAdapterFile` writes. */
export function readAdapterFile(bytes: Uint8Array): Adapter {
  const { tensors, metadata } = parseSafetensors(bytes)
  const form = metadata.get('form')
  if (metadata.get('format') !== FORMAT || metadata.get('version') !== VERSION) {
    throw malformed('it is of another kind or version')
  }
  if (form !== 'lora' && form !== 'lora-sb') throw malformed('its form is unknown')
  const modules = new Map<string, LoraFactors>()
  for (const module of storedModules(metadata.get('modules') ?? '')) {
    const [a, b, r] = factorSpecs(module, module.rank, form).map(({ name, shape }) => {
      const tensor = tensors.get(name)
      if (tensor?.dtype !== 'F32' || tensor.shape.join() !== shape.join())
        throw malformed(`${name} is missing`)
      return toFloat32(tensor)
    })
    modules.set(module.name, { ...module, a, b, ...(r && { r }) })
  }
  return { modules }
}

function storedModules(json: string): StoredModule[] {
  let modules: unknown
  try {
    modules = JSON.parse(json)
  } catch (cause) {
    throw malformed('its list of modules is not JSON', cause)
  }
  const whole = (side: unknown) => Number.isSafeInteger(side) && (side as number) > 0
  const sound =
    Array.isArray(modules) &&
    modules.every(
      (module: Partial<StoredModule> | null) =>
        typeof module?.name === 'string' &&
        Number.isFinite(module.alpha) &&
        [module.inFeatures, module.outFeatures, module.rank].every(whole),
    )
  if (!sound) throw malformed('its list of modules lacks something')
  return modules as StoredModule[]
}

const malformed = (what: string, cause?: unknown) =>
  new FormatError('adapter/malformed', `The kept adapter cannot be read: ${what}; train again.`, { cause })
