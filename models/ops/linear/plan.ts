/**
 * Linear layers with a low-rank path, recorded: each product is one dispatch, the low-rank path, the bias and
 * the residual are added by the same kernel that writes the result. Layers that read the same input share one dispatch
 * for their low-rank projections.
 */
import { besideEachOther, wholeRows } from '../../plan/columns.ts'
import { asMatrix } from '../../plan/packed-tensor.ts'
import { gradientSlot } from '../../plan/parameters.ts'
import { asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import type { Recorder } from '../../plan/recorder.ts'
import { isTrained, type Linear, type LinearOp, type LoraPath, type Tensor } from '../ops.ts'
import { matmul } from './matmul.wgsl.ts'
import { projectTogether } from './project.ts'
import { layerStack, stackBackward, stackForward } from './stack.ts'
import { stackGradients } from './stack-low-rank.ts'

/** What SwiGLU's kernels share with the products beside them. */
export interface PlanLinear extends LinearOp {
  /**
   * As `backward`, x being silu(gate) up: the gradients of gate and up [rows, 2 in], from the two side by side.
   */
  backwardUngated(dy: Tensor, x: Tensor, layer: Linear, both: PlanTensor): PlanTensor
}

export function planLinear(recorder: Recorder): PlanLinear {
  /** scale · x Aᵀ [rows, rank]: needed by the forward and by the gradients of B and R. */
  const project = (x: PlanTensor, lora: LoraPath): PlanTensor => {
    const a = asPlanTensor(lora.a.value)
    return recorder.once(x, a, () => {
      const [rank, width] = lora.a.shape
      const u = recorder.tensor([x.rows, rank])
      matmul(recorder, {
        name: 'lora.project',
        m: x.rows,
        n: rank,
        k: width,
        a: x,
        aLayout: 'mk',
        b: a,
        bLayout: 'nk',
        y: u,
        scale: lora.scale,
      })
      return u
    })
  }

  /** scale · x Aᵀ Rᵀ [rows, rank], or without R what `project` gives. */
  const core = (x: PlanTensor, lora: LoraPath): PlanTensor => {
    const u = project(x, lora)
    if (!lora.r) return u
    const r = asPlanTensor(lora.r.value)
    return recorder.once(u, r, () => {
      const [rank] = lora.a.shape
      const v = recorder.tensor([x.rows, rank])
      matmul(recorder, {
        name: 'lora.core',
        m: x.rows,
        n: rank,
        k: rank,
        a: u,
        aLayout: 'mk',
        b: r,
        bLayout: 'nk',
        y: v,
      })
      return v
    })
  }

  /**
   * Writes the gradients of what is trained, and returns scale · dy B [R] [rows, rank], which the input's gradient
   * and A's are made of; undefined where neither is wanted.
   */
  function lowRankBackward(
    dy: PlanTensor,
    x: PlanTensor,
    lora: LoraPath,
    needInput: boolean,
  ): PlanTensor | undefined {
    const { a, b, r, scale } = lora
    const [rank, width] = a.shape
    const [out] = b.shape
    const { rows } = x
    const needsFactor = needInput || isTrained(a)
    let g: PlanTensor | null = null
    if (
      isTrained(b) &&
      needsFactor &&
      !r &&
      recorder.style === 'workgroup' &&
      rank % 4 === 0 &&
      out % 4 === 0
    ) {
      const parts = [{ first: 0, outputs: out, low: { column: 0, row: 0 } }]
      const factors = { b: asPlanTensor(b.value), u: project(x, lora), gradient: gradientSlot(b), scale }
      g = stackGradients(recorder, { dy, parts, rank }, factors)
    } else if (isTrained(b)) {
      matmul(recorder, {
        name: 'lora.gradB',
        m: out,
        n: rank,
        k: rows,
        a: dy,
        aLayout: 'km',
        b: core(x, lora),
        bLayout: 'kn',
        y: gradientSlot(b),
      })
    }
    if (!needsFactor && !(r && isTrained(r))) return undefined
    if (!g) {
      g = recorder.tensor([rows, rank])
      matmul(recorder, {
        name: 'lora.back',
        m: rows,
        n: rank,
        k: out,
        a: dy,
        aLayout: 'mk',
        b: asPlanTensor(b.value),
        bLayout: 'kn',
        y: g,
        // Of dR's two operands `project` has the scale already.
        ...(!r && { scale }),
      })
    }
    if (r && isTrained(r)) {
      matmul(recorder, {
        name: 'lora.gradR',
        m: rank,
        n: rank,
        k: rows,
        a: g,
        aLayout: 'km',
        b: project(x, lora),
        bLayout: 'kn',
        y: gradientSlot(r),
      })
    }
    if (!needsFactor) return undefined
    if (r) {
      const outer = g
      g = recorder.tensor([rows, rank])
      matmul(recorder, {
        name: 'lora.coreBack',
        m: rows,
        n: rank,
        k: rank,
        a: outer,
        aLayout: 'mk',
        b: asPlanTensor(r.value),
        bLayout: 'kn',
        y: g,
        scale,
      })
    }
    if (isTrained(a)) {
      matmul(recorder, {
        name: 'lora.gradA',
        m: rank,
        n: width,
        k: rows,
        a: g,
        aLayout: 'km',
        b: x,
        bLayout: 'kn',
        y: gradientSlot(a),
      })
    }
    return g
  }

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
          h: core(x, lora),
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

  function forwardEach(xTensor: Tensor, layers: readonly Linear[]): Tensor[] {
    const x = asPlanTensor(xTensor)
    const stack = layerStack(layers)
    if (stack) return stackForward(recorder, x, stack)
    const paths = layers.flatMap(({ lora }) => (lora ? [lora] : []))
    const projected = projectTogether(recorder, x, paths)
    // What `project` will look for.
    projected?.forEach((u, i) => {
      recorder.once(x, asPlanTensor(paths[i].a.value), () => u)
    })
    return layers.map((layer) => forward(x, layer))
  }

  function backward(
    dyTensor: Tensor,
    xTensor: Tensor,
    layer: Linear,
    options?: { addTo?: Tensor; needInput?: boolean; both?: PlanTensor },
  ): never {
    const dy = asPlanTensor(dyTensor)
    const x = asPlanTensor(xTensor)
    const weight = asMatrix(layer.weight)
    const [out, width] = weight.shape
    const rows = x.rows
    const { lora } = layer
    const needInput = options?.needInput ?? true
    const g = lora && lowRankBackward(dy, x, lora, needInput)
    if (!needInput) return null as never
    const both = options?.both
    const dx = recorder.tensor([rows, both ? 2 * width : width])
    matmul(recorder, {
      name: both ? 'linear.backwardUngated' : 'linear.backward',
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
      ...(both && { ungated: { both } }),
    })
    return dx as never
  }

  function backwardEach(
    dys: readonly Tensor[],
    xTensor: Tensor,
    layers: readonly Linear[],
    { addTo, needInput = true }: { addTo?: Tensor; needInput?: boolean } = {},
  ): never {
    const x = asPlanTensor(xTensor)
    const stack = layerStack(layers)
    if (stack) {
      const dy = besideEachOther(recorder, dys)
      const options = { needInput, ...(addTo && { addTo: asPlanTensor(addTo) }) }
      return stackBackward(recorder, dy, x, stack, options) as never
    }
    let sum = addTo
    for (const [i, layer] of layers.entries()) {
      const dy = wholeRows(recorder, dys[i])
      sum = backward(dy, x, layer, needInput ? { ...(sum && { addTo: sum }) } : { needInput })
    }
    return sum as never
  }

  return {
    forward,
    forwardEach,
    backward,
    backwardEach,
    backwardUngated: (dy, x, layer, both) => backward(dy, x, layer, { both }),
  }
}
