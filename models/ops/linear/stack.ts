/**
 * Layers that read the same x as one layer: their weights lie in one stack (`models/plan/stack.ts`), their low-rank
 * factors one after another, and so each of the products is one dispatch for all of them. Results are columns of one
 * tensor.
 */
import { asMatrix, type Matrix } from '../../plan/packed-tensor.ts'
import { gradientSlot } from '../../plan/parameters.ts'
import { adjacent, asPlanTensor, type PlanTensor } from '../../plan/plan-tensor.ts'
import type { Recorder } from '../../plan/recorder.ts'
import { stackOf } from '../../plan/stack.ts'
import { type Factor, isTrained, type Linear } from '../ops.ts'
import type { StackPart } from './kernels/request.ts'
import { matmul } from './matmul.wgsl.ts'
import { stackBack, stackGradB, stackGradients } from './stack-low-rank.ts'

export interface LayerStack {
  /** [outputs, in] */
  readonly weight: Matrix
  readonly bias: PlanTensor | null
  readonly parts: readonly StackPart[]
  readonly outputs: number
  readonly low: StackLowRank | null
}

interface StackLowRank {
  readonly rank: number
  readonly scale: number
  /** All of them, one after another: [ranks, in]. */
  readonly a: PlanTensor
  /** [outputs with a low-rank path, rank] */
  readonly b: PlanTensor
  /** Slots like `a` and `b`; null where they are not trained. */
  readonly gradA: PlanTensor | null
  readonly gradB: PlanTensor | null
  /** The same whenever these factors are asked for. */
  readonly key: unknown
}

/** Null where the layers do not lie so, or differ in more than their outputs. */
export function layerStack(layers: readonly Linear[]): LayerStack | null {
  const weight = stackOf(layers.map(({ weight }) => asMatrix(weight)))
  if (!weight) return null
  const biases = layers.flatMap(({ bias }) => (bias ? [asPlanTensor(bias)] : []))
  const bias = biases.length > 0 ? stackOf(biases) : null
  if (biases.length > 0 && (!bias || biases.length < layers.length)) return null
  const low = lowRankOf(layers)
  if (low === undefined) return null
  let [first, column, row] = [0, 0, 0]
  const parts = layers.map((layer): StackPart => {
    const outputs = layer.weight.shape[0]
    const part = { first, outputs, low: layer.lora ? { column, row } : null }
    first += outputs
    if (layer.lora) {
      column += layer.lora.a.shape[0]
      row += outputs
    }
    return part
  })
  return { weight, bias: bias && asPlanTensor(bias as PlanTensor), parts, outputs: first, low }
}

/** Null where no layer has a low-rank path, undefined where they cannot be taken as one. */
function lowRankOf(layers: readonly Linear[]): StackLowRank | null | undefined {
  const paths = layers.flatMap(({ lora }) => (lora ? [lora] : []))
  if (paths.length === 0) return null
  const [{ a, scale, b }] = paths
  const [rank] = a.shape
  const alike = paths.every((path) => !path.r && path.a.shape[0] === rank && path.scale === scale)
  if (!alike || rank % 4 !== 0) return undefined
  const values = (factors: readonly Factor[]) => adjacent(factors.map(({ value }) => asPlanTensor(value)))
  const allA = values(paths.map((path) => path.a))
  const allB = values(paths.map((path) => path.b))
  const gradA = slotsOf(paths.map((path) => path.a))
  const gradB = slotsOf(paths.map((path) => path.b))
  if (!allA || !allB || gradA === undefined || gradB === undefined) return undefined
  return { rank, scale, a: allA, b: allB, gradA, gradB, key: b.value }
}

/** Null where none is trained, undefined where some are or their slots lie apart. */
function slotsOf(factors: readonly Factor[]): PlanTensor | null | undefined {
  const trained = factors.filter(isTrained)
  if (trained.length === 0) return null
  if (trained.length < factors.length) return undefined
  return adjacent(trained.map(gradientSlot)) ?? undefined
}

/** scale · x Aᵀ [rows, all ranks]: made once for forward and backward. */
function project(recorder: Recorder, x: PlanTensor, { a, scale, key }: StackLowRank): PlanTensor {
  return recorder.once(x, key, () => {
    const u = recorder.tensor([x.rows, a.rows])
    matmul(recorder, {
      name: 'lora.project',
      m: x.rows,
      n: a.rows,
      k: a.width,
      a: x,
      aLayout: 'mk',
      b: a,
      bLayout: 'nk',
      y: u,
      scale,
    })
    return u
  })
}

/** Each layer's result, columns of one tensor [rows, outputs]. */
export function stackForward(recorder: Recorder, x: PlanTensor, stack: LayerStack): PlanTensor[] {
  const { weight, bias, parts, outputs, low } = stack
  const y = recorder.tensor([x.rows, outputs])
  matmul(recorder, {
    name: 'linear.forward',
    m: x.rows,
    n: outputs,
    k: x.width,
    a: x,
    aLayout: 'mk',
    b: weight,
    bLayout: 'nk',
    y,
    ...(low && {
      low: { h: project(recorder, x, low), l: low.b, rank: low.rank, layout: 'nk' as const, parts },
    }),
    ...(bias && { bias }),
  })
  return parts.map((part) => y.columnRange(part.first, part.outputs))
}

/** Whether `stackGated` takes the two. */
export const isGated = ({ parts, bias }: LayerStack): boolean =>
  parts.length === 2 && parts[0].outputs === parts[1].outputs && !bias

/** silu(gate) up of a stack of the two [rows, outputs / 2]; with `keep` their own results, columns of one tensor. */
export function stackGated(
  recorder: Recorder,
  x: PlanTensor,
  { weight, parts, outputs, low }: LayerStack,
  keep: boolean,
): { readonly activated: PlanTensor; readonly kept: readonly PlanTensor[] } {
  const inner = outputs / 2
  const activated = recorder.tensor([x.rows, inner])
  const both = keep ? recorder.tensor([x.rows, outputs]) : null
  matmul(recorder, {
    name: 'linear.gated',
    m: x.rows,
    n: inner,
    k: x.width,
    a: x,
    aLayout: 'mk',
    b: weight,
    bLayout: 'nk',
    y: activated,
    gated: both ? { both } : {},
    ...(low && {
      low: { h: project(recorder, x, low), l: low.b, rank: low.rank, layout: 'nk' as const, parts },
    }),
  })
  const kept = both ? parts.map((part) => both.columnRange(part.first, part.outputs)) : []
  return { activated, kept }
}

/** @param dy [rows, outputs] */
export function stackBackward(
  recorder: Recorder,
  dy: PlanTensor,
  x: PlanTensor,
  { weight, parts, outputs, low }: LayerStack,
  options: { readonly addTo?: PlanTensor; readonly needInput: boolean },
): PlanTensor | null {
  const { rows, width } = x
  let g: PlanTensor | null = null
  if (low) {
    const gradient = { dy, parts, rank: low.rank }
    const needsG = low.gradA || options.needInput
    const { b, gradB, scale } = low
    if (gradB && needsG) {
      const u = project(recorder, x, low)
      g = stackGradients(recorder, gradient, { b, u, gradient: gradB, scale })
    } else if (gradB) stackGradB(recorder, gradient, project(recorder, x, low), gradB)
    else if (needsG) g = stackBack(recorder, gradient, b, scale)
    if (low.gradA)
      matmul(recorder, {
        name: 'lora.gradA',
        m: low.a.rows,
        n: width,
        k: rows,
        a: g!,
        aLayout: 'km',
        b: x,
        bLayout: 'kn',
        y: low.gradA,
      })
  }
  if (!options.needInput) return null
  const dx = recorder.tensor([rows, width])
  matmul(recorder, {
    name: 'linear.backward',
    m: rows,
    n: width,
    k: outputs,
    a: dy,
    aLayout: 'mk',
    b: weight,
    bLayout: 'kn',
    y: dx,
    ...(low && g && { low: { h: g, l: low.a, rank: low.a.rows, layout: 'kn' as const } }),
    ...(options.addTo && { residual: options.addTo }),
  })
  return dx
}
