/**
 * Linear layers with a low-rank path, recorded: each product is one dispatch, the low-rank path, the bias and
 * the residual are added by the same kernel that writes the result.
 */
import { asMatrix } from '../../plan/packed-tensor.ts'
import { gradientSlot } from '../../plan/parameters.ts'
import { asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import type { Recorder } from '../../plan/recorder.ts'
import type { Linear, LinearOp, LoraPath, Tensor } from '../ops.ts'
import { matmul } from './matmul.wgsl.ts'

export function planLinear(recorder: Recorder): LinearOp {
  /** scale · x Aᵀ [rows, rank]: needed by the forward and by B's gradient. */
  const project = (x: PlanTensor, lora: LoraPath): PlanTensor =>
    recorder.once(x, lora.a, () => {
      const [rank, width] = lora.a.shape
      const h = recorder.tensor([x.rows, rank])
      const a = asPlanTensor(lora.a.value)
      matmul(recorder, {
        name: 'lora.project',
        m: x.rows,
        n: rank,
        k: width,
        a: x,
        aLayout: 'mk',
        b: a,
        bLayout: 'nk',
        y: h,
        scale: lora.scale,
      })
      return h
    })

  function forward(xTensor: Tensor, layer: Linear, options?: { residual?: Tensor }): Tensor {
    const x = asPlanTensor(xTensor)
    const weight = asMatrix(layer.weight)
    const [out, width] = weight.shape
    const y = recorder.tensor([x.rows, out])
    const { lora } = layer
    matmul(recorder, {
      name: 'linear.forward',
      m: x.rows,
      n: out,
      k: width,
      a: x,
      aLayout: 'mk',
      b: weight,
      bLayout: 'nk',
      y,
      ...(lora && {
        low: {
          h: project(x, lora),
          l: asPlanTensor(lora.b.value),
          rank: lora.a.shape[0],
          layout: 'nk',
        },
      }),
      ...(layer.bias && { bias: asPlanTensor(layer.bias) }),
      ...(options?.residual && { residual: asPlanTensor(options.residual) }),
    })
    return y
  }

  function backward(
    dyTensor: Tensor,
    xTensor: Tensor,
    layer: Linear,
    options?: { addTo?: Tensor; needInput?: boolean },
  ): never {
    const dy = asPlanTensor(dyTensor)
    const x = asPlanTensor(xTensor)
    const weight = asMatrix(layer.weight)
    const [out, width] = weight.shape
    const rows = x.rows
    const { lora } = layer
    let g: PlanTensor | undefined
    if (lora) {
      const rank = lora.a.shape[0]
      g = recorder.tensor([rows, rank]) // scale · dy B
      const b = asPlanTensor(lora.b.value)
      matmul(recorder, {
        name: 'lora.back',
        m: rows,
        n: rank,
        k: out,
        a: dy,
        aLayout: 'mk',
        b,
        bLayout: 'kn',
        y: g,
        scale: lora.scale,
      })
      const dA = gradientSlot(lora.a)
      matmul(recorder, {
        name: 'lora.gradA',
        m: rank,
        n: width,
        k: rows,
        a: g,
        aLayout: 'km',
        b: x,
        bLayout: 'kn',
        y: dA,
      })
      const dB = gradientSlot(lora.b)
      const h = project(x, lora)
      matmul(recorder, {
        name: 'lora.gradB',
        m: out,
        n: rank,
        k: rows,
        a: dy,
        aLayout: 'km',
        b: h,
        bLayout: 'kn',
        y: dB,
      })
    }
    if (options?.needInput === false) return null as never
    const dx = recorder.tensor([rows, width])
    matmul(recorder, {
      name: 'linear.backward',
      m: rows,
      n: width,
      k: out,
      a: dy,
      aLayout: 'mk',
      b: weight,
      bLayout: 'kn',
      y: dx,
      ...(lora && g && { low: { h: g, l: asPlanTensor(lora.a.value), rank: lora.a.shape[0], layout: 'kn' } }),
      ...(options?.addTo && { residual: asPlanTensor(options.addTo) }),
    })
    return dx as never
  }

  return { forward, backward }
}
