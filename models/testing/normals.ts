/** Reproducible numbers for tests: mulberry32 and Box-Muller, both textbook. */

/** Normal numbers with this standard deviation. */
export function normals(count: number, seed: number, deviation = 1): Float32Array {
  const next = uniforms(seed)
  return Float32Array.from(
    { length: count },
    () => deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  )
}

/** Integers from 0 to below `limit`. */
export function integers(count: number, seed: number, limit: number): Int32Array {
  const next = uniforms(seed)
  return Int32Array.from({ length: count }, () => Math.floor(next() * limit))
}

function uniforms(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
