/**
 * LoRA-SB's fixed factors from the base weights: of W ≈ U Σ Vᵀ, B = U_r [out, r] and A = V_rᵀ [r, in], both
 * orthonormal, R = 0. The papers (https://arxiv.org/abs/2411.19557, https://arxiv.org/abs/2502.15436) take U and V of
 * a gradient over data; here nobody's data may be looked at before the room opens, so they come from the directions in
 * which the weights themselves are largest. With orthonormal factors dR = scale Bᵀ dW Aᵀ is the part of the full
 * gradient that lies between them, undistorted: no further factor is put in, R learns the scale.
 *
 * A pure function of weights and rank. No tensor library: the host makes it before anyone joins.
 */
import type { Adapter, AdapterModule, AdapterShape, LoraFactors } from './adapter.ts'
import { leadingSingular } from './singular.ts'

/** `weights` gives a module's base weight [out, in]; each is asked for once, the next after it. */
export async function baseStart(
  { modules, rank, alpha }: AdapterShape,
  weights: (module: AdapterModule) => Promise<Float32Array>,
  onProgress: (modulesDone: number) => void = () => {},
): Promise<Adapter> {
  const made = new Map<string, LoraFactors>()
  for (const module of modules) {
    const { left, right } = leadingSingular(
      await weights(module),
      module.outFeatures,
      module.inFeatures,
      rank,
    )
    made.set(module.name, { ...module, rank, alpha, a: right, b: left, r: new Float32Array(rank * rank) })
    onProgress(made.size)
  }
  return { modules: made }
}
