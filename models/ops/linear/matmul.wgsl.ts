/**
 * Matrix products in WGSL: y [m, n] = scale · a b (+ h l) (+ bias) (+ residual), in the three layouts
 * that forward (a bᵀ), input gradient (a b) and weight gradient (aᵀ b) need. Sizes are baked into the source, so
 * the compiler sees every bound. Every variant adds in a fixed order: results repeat to the bit. b may be a packed
 * weight, whose numbers are unpacked four at a time where they are read.
 *
 * - `direct`: each invocation keeps a 4 x 4 tile in registers (8 x 4 over packed blocks) and reads the operands from
 *   memory.
 * - `subgroup`: 8 x 4 in registers, the narrower operand read once a subgroup and broadcast.
 * - `tiled`, `tiled64`, `tiled32`: tiles of 64 x 64 or 32 x 32 through workgroup memory, 8 x 4, 8 x 8 or 4 x 4 of them
 *   an invocation's. With `Half` after the name, tiles in float16: what a tuner may find quicker, never the first.
 * - `splitK`: for small results of long sums (a factor's gradient): 64 invocations share one 4 x 4 tile, each
 *   sums every 64th term, and a tree adds them up.
 */
import { PackedTensor } from '../../plan/packed-tensor.ts'
import type { Binding, DispatchRequest, Recorder } from '../../plan/recorder.ts'
import { direct, SPLIT, splitK } from './kernels/direct.ts'
import { FEW, lowRank, type MatmulRequest, outputsOf, type Source, TILE } from './kernels/request.ts'
import { subgroup, subgroupForm } from './kernels/subgroup.ts'
import { fitsHalves, fitsTiles, TILES, tiled } from './kernels/tiled.ts'

export type { MatmulRequest } from './kernels/request.ts'

/**
 * Outputs of a product that norms its rows itself. Every workgroup of it does, which is little beside a dispatch; a product
 * with a vocabulary of outputs lasts so long that the norm done so often would cost more than the dispatch.
 */
const MOST_NORMED = 16_384

type TileName = keyof typeof TILES

export type MatmulVariant = 'direct' | 'subgroup' | 'splitK' | TileName | `${TileName}Half`

/** Records the product in the variant that suits such devices, with the others for a tuner to try. */
export function matmul(recorder: Recorder, given: MatmulRequest): void {
  const request = withNorm(recorder, given)
  const [first, ...others] = variantsOf(recorder, request)
  recordMatmul(recorder, request, first, others)
}

/**
 * Where a is normed rows that are few: the product of the rows before the norm, which it does itself. Of GPUs alone: there
 * a dispatch costs more than its arithmetic; a processor that plays GPU pays for every load.
 */
function withNorm(recorder: Recorder, request: MatmulRequest): MatmulRequest {
  const { m, k, aLayout, bLayout, residual } = request
  const norm = recorder.style === 'workgroup' ? recorder.normOf(request.a) : undefined
  const few = m <= FEW && aLayout === 'mk' && bLayout === 'nk' && k % 4 === 0 && !residual
  return norm && few && outputsOf(request) <= MOST_NORMED ? { ...request, a: norm.x, norm } : request
}

/** Every variant that can meet the request, the likeliest to be quick first. */
export function variantsOf(recorder: Recorder, request: MatmulRequest): readonly MatmulVariant[] {
  const { m, n, k } = request
  const shared: MatmulVariant[] =
    recorder.subgroupLanes > 0 && subgroupForm(request) !== null ? ['subgroup'] : []
  // A processor that plays GPU pays for barriers, and needs seconds to compile a kernel: nothing to try there.
  if (recorder.style === 'direct') return [...shared, 'direct']
  const halves = (names: readonly TileName[]): MatmulVariant[] =>
    recorder.halfTiles && fitsHalves(request) ? names.map((name) => `${name}Half` as const) : []
  if (request.gated) {
    if (m >= 16 && fitsTiles(request)) return ['gated', ...halves(['gated']), ...shared]
    return [...(request.k >= 4 * SPLIT ? (['splitK'] as const) : []), 'direct', ...shared]
  }
  const tiles = Math.ceil(m / TILE) * Math.ceil(n / TILE)
  // Few tiles and a long sum leave a GPU idle unless the sum itself is shared out.
  const split: MatmulVariant[] = k >= 4 * SPLIT && tiles <= 4096 ? ['splitK'] : []
  if (m >= 16 && n >= 32 && fitsTiles(request)) {
    const large = Math.ceil(m / 64) * Math.ceil(n / 64)
    const byTiles: TileName[] = ['tiled', 'tiled64', 'tiled32']
    if (m < 64 || large < 64) byTiles.reverse()
    return [...byTiles, ...halves(byTiles.slice(0, 2)), ...shared, ...split]
  }
  return [...split, 'direct', ...shared]
}

function sourceOf(recorder: Recorder, request: MatmulRequest, variant: MatmulVariant): Source {
  switch (variant) {
    case 'direct':
      return direct(request)
    case 'subgroup':
      return subgroup(request, recorder.subgroupLanes)
    case 'tiled':
    case 'tiled64':
    case 'tiled32':
    case 'gated':
      return tiled(request, TILES[variant])
    case 'tiledHalf':
      return tiled(request, TILES.tiled, true)
    case 'tiled64Half':
      return tiled(request, TILES.tiled64, true)
    case 'tiled32Half':
      return tiled(request, TILES.tiled32, true)
    case 'gatedHalf':
      return tiled(request, TILES.gated, true)
    case 'splitK':
      return splitK(request)
  }
}

/** In one variant, whatever suits the device. */
export function recordMatmul(
  recorder: Recorder,
  request: MatmulRequest,
  variant: MatmulVariant,
  others: readonly MatmulVariant[] = [],
): void {
  recorder.dispatch(dispatchOf(recorder, request, variant), {
    key: keyOf(request),
    others: others.map((other) => () => dispatchOf(recorder, request, other)),
  })
}

/** Products with the same key cost the same. */
function keyOf(request: MatmulRequest): string {
  const { m, n, k, aLayout, b, bLayout, low, norm, bias, residual, gated, ungated } = request
  const type = b instanceof PackedTensor ? b.packing : 'F32'
  const extras = [
    low && `rank ${low.rank} ${low.layout}${low.parts ? ' stack' : ''}`,
    bias && 'bias',
    residual && 'residual',
    norm && 'norm',
    gated && (gated.both ? 'gated, kept' : 'gated'),
    ungated && 'ungated',
  ]
  return ['matmul', `${m}x${n}x${k}`, aLayout, bLayout, type, ...extras].filter(Boolean).join(' ')
}

function dispatchOf(recorder: Recorder, request: MatmulRequest, variant: MatmulVariant): DispatchRequest {
  const { m, n, k, low } = request
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
  if (request.norm) reads.norm = { tensor: request.norm.weight, vector: 4 }
  if (request.bias) reads.bias = { tensor: request.bias, vector: outVector }
  if (request.ungated) reads.both = { tensor: request.ungated.both, vector: 4 }
  if (request.residual) reads.residual = { tensor: request.residual, vector: outVector }
  return {
    name: `${request.name}.${variant}`,
    reads,
    writes: {
      y: { tensor: request.y, vector: outVector },
      ...(request.gated?.both && { both: { tensor: request.gated.both, vector: 4 } }),
    },
    body: request.b instanceof PackedTensor ? request.b.unpack('b') + source.body : source.body,
    workgroups: source.workgroups,
    flops: 2 * m * outputsOf(request) * (k + (low?.rank ?? 0)),
    ...(source.subgroups && { subgroups: true }),
    ...(source.halves && { halves: true }),
  }
}
