/**
 * A LoRA adapter as plain numbers: what is trained, packed into updates, merged and exported.
 * Hu et al. 2021, https://arxiv.org/abs/2106.09685 : y = x Wᵀ + (alpha / rank) · (x Aᵀ) Bᵀ
 *
 * Module names are PEFT's without the factor's suffix, e.g.
 * `base_model.model.model.layers.0.self_attn.q_proj`; the tensors are then `NAME.lora_A.weight` and
 * `NAME.lora_B.weight`. Ranks may differ from module to module (a merged adapter's do).
 */

/** One linear layer of the base that an adapter can change. */
export interface AdapterModule {
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
}

export interface LoraFactors extends AdapterModule {
  readonly rank: number
  readonly alpha: number
  /** [rank, inFeatures], row-major */
  readonly a: Float32Array
  /** [outFeatures, rank], row-major */
  readonly b: Float32Array
  /** [rank, rank], row-major: LoRA-SB's core between the two, y = x Wᵀ + (alpha / rank) · ((x Aᵀ) Rᵀ) Bᵀ. */
  readonly r?: Float32Array
}

export interface Adapter {
  /** By module name, in the model's own order. */
  readonly modules: ReadonlyMap<string, LoraFactors>
}

/**
 * What of `y = x Wᵀ + scale · x Aᵀ [Rᵀ] Bᵀ` is trained. `lora`: A and B. `ffa`: B alone, A stays A0 (Sun et al. 2024,
 * https://arxiv.org/abs/2403.12313). `lora-sb`: R [rank, rank] alone, between a fixed A and B (Ponkshe et al. 2024,
 * https://arxiv.org/abs/2411.19557; Singhal et al. 2025, https://arxiv.org/abs/2502.15436).
 */
export type AdapterForm = 'lora' | 'ffa' | 'lora-sb'

/** What every client of a room trains: fixed by the room's manifest. */
export interface AdapterShape {
  /** `lora` where it is left out. */
  readonly form?: AdapterForm | undefined
  readonly rank: number
  readonly alpha: number
  readonly modules: readonly AdapterModule[]
}

export const loraA = (module: string) => `${module}.lora_A.weight`
/** LoRA-SB's trained core: [rank, rank], `lora_B · lora_R · lora_A` is the delta. */
export const loraR = (module: string) => `${module}.lora_R.weight`
export const loraB = (module: string) => `${module}.lora_B.weight`

/** The form an adapter's numbers are in: with a core LoRA-SB's. FFA's are LoRA's, of which A was not trained. */
export const formOf = (adapter: Adapter): AdapterForm =>
  [...adapter.modules.values()].some(({ r }) => r !== undefined) ? 'lora-sb' : 'lora'

/** One matrix of a module, under its PEFT name. */
export interface NamedFactor {
  readonly name: string
  readonly shape: readonly [number, number]
  readonly trained: boolean
}

/** A, B and for LoRA-SB R of one module, and which of them the form trains. */
export function factorSpecs(module: AdapterModule, rank: number, form: AdapterForm): NamedFactor[] {
  const { name, inFeatures, outFeatures } = module
  const specs: NamedFactor[] = [
    { name: loraA(name), shape: [rank, inFeatures], trained: form === 'lora' },
    { name: loraB(name), shape: [outFeatures, rank], trained: form !== 'lora-sb' },
  ]
  if (form === 'lora-sb') specs.push({ name: loraR(name), shape: [rank, rank], trained: true })
  return specs
}

/** The same with their numbers. Throws RangeError where a form with a core gets factors without. */
export function factorsOf(
  factors: LoraFactors,
  form: AdapterForm,
): (NamedFactor & { values: Float32Array })[] {
  const { name, a, b, r } = factors
  if ((r !== undefined) !== (form === 'lora-sb')) {
    throw new RangeError(`${name} ${r ? 'has' : 'lacks'} a core, but the form is ${form}`)
  }
  const values = [a, b, ...(r ? [r] : [])]
  return factorSpecs(factors, factors.rank, form).map((spec, i) => ({ ...spec, values: values[i] }))
}

/** The same adapter as plain LoRA, b = B R: what is exported, evaluated elsewhere and merged. */
export function withoutCores(adapter: Adapter): Adapter {
  const modules = new Map<string, LoraFactors>()
  for (const { r, ...factors } of adapter.modules.values()) {
    modules.set(factors.name, r ? { ...factors, b: timesCore(factors, r) } : factors)
  }
  return { modules }
}

/** B R [outFeatures, rank], summed in float64 in a fixed order. */
function timesCore({ outFeatures, rank, b }: Omit<LoraFactors, 'r'>, r: Float32Array): Float32Array {
  const product = new Float32Array(outFeatures * rank)
  for (let row = 0; row < outFeatures; row++) {
    for (let column = 0; column < rank; column++) {
      let sum = 0
      for (let i = 0; i < rank; i++) sum += b[row * rank + i] * r[i * rank + column]
      product[row * rank + column] = sum
    }
  }
  return product
}
