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
}

export interface Adapter {
  /** By module name, in the model's own order. */
  readonly modules: ReadonlyMap<string, LoraFactors>
}

/** What every client of a room trains: fixed by the room's manifest. */
export interface AdapterShape {
  readonly rank: number
  readonly alpha: number
  readonly modules: readonly AdapterModule[]
}

export const loraA = (module: string) => `${module}.lora_A.weight`
export const loraB = (module: string) => `${module}.lora_B.weight`
