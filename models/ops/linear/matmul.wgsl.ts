/**
 * Matrix products in WGSL: y [m, n] = scale · a b (+ h l) (+ bias) (+ residual), in the three layouts
 * that forward (a bᵀ), input gradient (a b) and weight gradient (aᵀ b) need. Sizes are baked into the source, so
 * the compiler sees every bound. Every variant adds in a fixed order: results repeat to the bit. b may be a packed
 * weight, whose numbers are unpacked four at a time where they are read.
 *
 * - `direct`: each invocation keeps a 4 x 4 tile in registers (8 x 4 over packed blocks) and reads the operands from
 *   memory.
 * - `subgroup`: 8 x 4 in registers, the narrower operand read once a subgroup and broadcast.
 * - `tiled`: 64 x 64 tiles through workgroup memory; 256 invocations of 4 x 4.
 * - `splitK`: for small results of long sums (a factor's gradient): 64 invocations share one 4 x 4 tile, each
 *   sums every 64th term, and a tree adds them up.
 */
import { PackedTensor } from '../../plan/packed-tensor.ts'
import type { Binding, Recorder } from '../../plan/recorder.ts'
import { direct, SPLIT, splitK } from './kernels/direct.ts'
import { lowRank, type MatmulRequest, type Source, TILE } from './kernels/request.ts'
import { subgroup, subgroupForm } from './kernels/subgroup.ts'
import { tiled } from './kernels/tiled.ts'

export type { MatmulRequest } from './kernels/request.ts'

export type MatmulVariant = 'direct' | 'subgroup' | 'tiled' | 'splitK'

export function matmul(recorder: Recorder, request: MatmulRequest): void {
  recordMatmul(recorder, request, chooseVariant(recorder, request))
}

function chooseVariant(recorder: Recorder, request: MatmulRequest): MatmulVariant {
  const { m, n, k } = request
  if (recorder.style === 'direct')
    return recorder.subgroupLanes > 0 && subgroupForm(request) !== null ? 'subgroup' : 'direct'
  if (m >= 32 && n >= 32) return 'tiled'
  // Few tiles and a long sum leave a GPU idle unless the sum itself is shared out.
  const tiles = Math.ceil(m / TILE) * Math.ceil(n / TILE)
  return k >= 4 * SPLIT && tiles <= 4096 ? 'splitK' : 'direct'
}

function sourceOf(recorder: Recorder, request: MatmulRequest, variant: MatmulVariant): Source {
  switch (variant) {
    case 'direct':
      return direct(request)
    case 'subgroup':
      return subgroup(request, recorder.subgroupLanes)
    case 'tiled':
      return tiled(request)
    case 'splitK':
      return splitK(request)
  }
}

export function recordMatmul(recorder: Recorder, request: MatmulRequest, variant: MatmulVariant): void {
  const { m, n, k, low } = request
  const flops = 2 * m * n * (k + (low?.rank ?? 0))
  const source = sourceOf(recorder, request, variant)
  const reads: Record<string, Binding> = {
    a: { tensor: request.a, vector: source.aVector },
    ...(request.b instanceof PackedTensor
      ? request.b.reads('b')
      : { b: { tensor: request.b, vector: source.bVector } }),
  }
  const outVector = n % TILE === 0 ? 4 : 1
  if (low) {
    const { hVector, lVector } = { ...lowRank(request, TILE), ...source }
    reads.h = { tensor: low.h, vector: hVector }
    reads.l = { tensor: low.l, vector: lVector }
  }
  if (request.bias) reads.bias = { tensor: request.bias, vector: outVector }
  if (request.residual) reads.residual = { tensor: request.residual, vector: outVector }
  recorder.dispatch({
    name: `${request.name}.${variant}`,
    reads,
    writes: { y: { tensor: request.y, vector: outVector } },
    body: request.b instanceof PackedTensor ? request.b.unpack('b') + source.body : source.body,
    workgroups: source.workgroups,
    flops,
    ...(source.subgroups && { subgroups: true }),
  })
}
