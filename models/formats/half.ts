/**
 * The two 16-bit float formats as bit patterns: IEEE 754 binary16 (F16) and bfloat16 (BF16).
 * JavaScript engines of 2024 have no Float16Array, so the conversions are spelled out.
 */

const float32 = new Float32Array(1)
const bits32 = new Uint32Array(float32.buffer)

function float16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

let table: Float32Array | undefined

/** The value of every binary16, by its bits: a model has hundreds of millions to convert. */
export function float16Table(): Float32Array {
  if (!table) {
    table = new Float32Array(65_536)
    for (let half = 0; half < 65_536; half++) table[half] = float16Value(half)
  }
  return table
}

/** Exact. */
export function float16ToFloat32(halves: Uint16Array): Float32Array {
  const table = float16Table()
  const values = new Float32Array(halves.length)
  for (let i = 0; i < halves.length; i++) values[i] = table[halves[i]]
  return values
}

/** Exact: a bfloat16 is the upper half of a float32. */
export function bfloat16ToFloat32(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16
  return new Float32Array(bits.buffer)
}

/** The nearest binary16 of a float32, ties to even; beyond 65,520 infinity; NaN stays NaN. */
export function float32ToFloat16Bits(value: number): number {
  float32[0] = value
  const bits = bits32[0]
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fff_ffff
  if (magnitude > 0x7f80_0000) return sign | 0x7e00
  if (magnitude >= 0x4780_0000) return sign | 0x7c00 // 65,536 and above
  if (magnitude < 0x3880_0000) {
    // Below 2^-14 a half counts in steps of 2^-24: scale exactly, then round to even.
    const steps = Math.abs(float32[0]) * 2 ** 24
    const floor = Math.floor(steps)
    const rest = steps - floor
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0))
  }
  // Rebias the exponent, add half a step less one plus the kept lowest bit: a carry runs into the exponent.
  const rounded = magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)
  return sign | (rounded >>> 13)
}

export function float32ToFloat16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) halves[i] = float32ToFloat16Bits(values[i])
  return halves
}

/** The nearest bfloat16 of each float32, ties to even; NaN stays NaN. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i]
    const notANumber = (value & 0x7fff_ffff) > 0x7f80_0000
    // Half a step less one plus the kept lowest bit: a carry runs into the exponent.
    halves[i] = notANumber ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16
  }
  return halves
}
