/**
 * Whether WebAssembly here has SIMD, whose 128-bit vectors do most of the wasm backend's work. Without, tfjs takes a build that
 * has neither SIMD nor threads. https://webassembly.github.io/spec/core/binary/
 */

/** A module with one function, [] -> [v128], whose body is `i32.const 0; i8x16.splat`. */
const ONE_VECTOR = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b], // types: () -> v128
  ...[0x03, 0x02, 0x01, 0x00], // functions: one, of type 0
  ...[0x0a, 0x08, 0x01, 0x06, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0x0b], // code
)

export const hasWasmSimd = (): boolean =>
  typeof WebAssembly !== 'undefined' && WebAssembly.validate(ONE_VECTOR)
