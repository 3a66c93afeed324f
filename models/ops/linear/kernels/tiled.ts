/** Products by 64 x 64 tiles through workgroup memory: what GPUs reward. */
import { PackedTensor } from '../../../plan/packed-tensor.ts'
import { epilogue, type MatmulRequest, type Source, TILE, times } from './request.ts'

const TILE_MN = 64
const TILE_K = 16

/**
 * A packed b's share of a tile: 256 quads, one an invocation. Quads lie along k in 'nk' and along n in 'kn'; a row of
 * the weight is whole quads, so none crosses an edge.
 */
function packedTile({ n, k, bLayout }: MatmulRequest): string {
  const stride = TILE_MN + 4
  if (bLayout === 'nk') {
    return `{
      let tk = local % ${TILE_K / 4}u * 4u; let tn = local / ${TILE_K / 4}u;
      let inside = k0 + tk < ${k}u;
      let quad = bQuad(min(nTile + tn, ${n - 1}u) * ${k / 4}u + min(k0 + tk, ${k - 4}u) / 4u);
      for (var i = 0u; i < 4u; i++) { bTile[(tk + i) * ${stride}u + tn] = select(0.0f, quad[i], inside); }
    }`
  }
  return `{
      let tn = local % ${TILE_MN / 4}u * 4u; let tk = local / ${TILE_MN / 4}u;
      let inside = k0 + tk < ${k}u;
      let quad = bQuad(min(k0 + tk, ${k - 1}u) * ${n / 4}u + min(nTile + tn, ${n - 4}u) / 4u);
      for (var i = 0u; i < 4u; i++) { bTile[tk * ${stride}u + tn + i] = select(0.0f, quad[i], inside); }
    }`
}

export function tiled(request: MatmulRequest): Source {
  const { m, n, k, aLayout, bLayout } = request
  // Neighbouring invocations read neighbouring addresses, whichever way the operand lies.
  const aLoad =
    aLayout === 'mk'
      ? `let tk = index % ${TILE_K}u; let tm = index / ${TILE_K}u;
      let at = min(mTile + tm, ${m - 1}u) * ${k}u + k0 + tk;`
      : `let tm = index % ${TILE_MN}u; let tk = index / ${TILE_MN}u;
      let at = min(k0 + tk, ${k - 1}u) * ${m}u + min(mTile + tm, ${m - 1}u);`
  const bLoad =
    request.b instanceof PackedTensor
      ? packedTile(request)
      : `for (var index = local; index < ${TILE_K * TILE_MN}u; index += 256u) {
      ${
        bLayout === 'nk'
          ? `let tk = index % ${TILE_K}u; let tn = index / ${TILE_K}u;
      let at = min(nTile + tn, ${n - 1}u) * ${k}u + k0 + tk;`
          : `let tn = index % ${TILE_MN}u; let tk = index / ${TILE_MN}u;
      let at = min(k0 + tk, ${k - 1}u) * ${n}u + min(nTile + tn, ${n - 1}u);`
      }
      bTile[tk * ${TILE_MN + 4}u + tn] = select(0.0f, b[min(at, ${n * k - 1}u)], k0 + tk < ${k}u);
    }`
  return {
    aVector: 1,
    bVector: 1,
    workgroups: [Math.ceil(n / TILE_MN), Math.ceil(m / TILE_MN), 1],
    body: `// Columns of the tiles are padded by one vector: the writes of one column would else meet in one bank.
var<workgroup> aTile: array<f32, ${TILE_K * (TILE_MN + 4)}>;
var<workgroup> bTile: array<f32, ${TILE_K * (TILE_MN + 4)}>;
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) id: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
  let mTile = workgroup.y * ${TILE_MN}u;
  let nTile = workgroup.x * ${TILE_MN}u;
  let m0 = mTile + id.y * ${TILE}u;
  let n0 = nTile + id.x * ${TILE}u;
${times(TILE, (i) => `  var acc${i} = vec4<f32>();`).join('\n')}
  for (var k0 = 0u; k0 < ${k}u; k0 += ${TILE_K}u) {
    for (var index = local; index < ${TILE_K * TILE_MN}u; index += 256u) {
      ${aLoad}
      aTile[tk * ${TILE_MN + 4}u + tm] = select(0.0f, a[min(at, ${m * k - 1}u)], k0 + tk < ${k}u);
    }
    ${bLoad}
    workgroupBarrier();
    for (var tk = 0u; tk < ${TILE_K}u; tk++) {
      let aAt = tk * ${TILE_MN + 4}u + id.y * ${TILE}u;
      let bAt = tk * ${TILE_MN + 4}u + id.x * ${TILE}u;
      let bv = vec4<f32>(bTile[bAt], bTile[bAt + 1u], bTile[bAt + 2u], bTile[bAt + 3u]);
${times(TILE, (i) => `      acc${i} += aTile[aAt + ${i}u] * bv;`).join('\n')}
    }
    workgroupBarrier();
  }
  if (n0 >= ${n}u) { return; }
${epilogue(request, TILE)}
}`,
  }
}
