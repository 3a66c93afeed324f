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
