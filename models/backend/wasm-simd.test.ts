import { afterEach, expect, it, vi } from 'vitest'
import { hasWasmSimd } from './wasm-simd.ts'

afterEach(() => vi.unstubAllGlobals())

it('finds SIMD where it is, and none without WebAssembly', () => {
  // Every V8 that runs these tests has it.
  expect(hasWasmSimd()).toBe(true)
  vi.stubGlobal('WebAssembly', { validate: () => false })
  expect(hasWasmSimd()).toBe(false)
  vi.stubGlobal('WebAssembly', undefined)
  expect(hasWasmSimd()).toBe(false)
})
