/**
 * What the clients of a room start from and which of its numbers they train: A and B, B alone (FFA) or the core R
 * alone (LoRA-SB). An update holds the change of exactly these.
 */
import { type Adapter, type AdapterForm, factorsOf, type LoraFactors } from '../../models/adapters/adapter.ts'

export interface RoundStart {
  readonly adapter: Adapter
  readonly form: AdapterForm
  /** By PEFT tensor name, in the order of the modules. */
  readonly trained: ReadonlyMap<string, Float32Array>
}

/** Throws RangeError where the adapter is not of this form. */
export function roundStart(adapter: Adapter, form: AdapterForm = 'lora'): RoundStart {
  const trained = new Map<string, Float32Array>()
  for (const module of adapter.modules.values()) {
    for (const factor of factorsOf(module, form)) if (factor.trained) trained.set(factor.name, factor.values)
  }
  return { adapter, form, trained }
}

/** The start with other numbers where it is trained, in its own form. */
export function withTrained(
  { adapter, form }: RoundStart,
  value: (tensor: string, start: Float32Array) => Float32Array,
): Adapter {
  const modules = new Map<string, LoraFactors>()
  for (const module of adapter.modules.values()) {
    const [a, b, r] = factorsOf(module, form).map(({ name, values, trained }) =>
      trained ? value(name, values) : values,
    )
    modules.set(module.name, { ...module, a: a!, b: b!, ...(r && { r }) })
  }
  return { modules }
}
