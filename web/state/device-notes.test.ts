import { describe, expect, it } from 'vitest'
import type { DeviceReport } from '../worker/api.ts'
import { deviceNotes } from './device-notes.ts'

const wasm: DeviceReport = {
  backend: 'wasm',
  executor: 'eager',
  device: 'a processor',
  software: false,
  float16: [],
  hasSimd: true,
}
const gpu: DeviceReport = { ...wasm, backend: 'webgpu', executor: 'plan', device: 'a GPU' }
const all = { secure: true, hasWebGpu: true, hasSharedMemory: true, isPhone: false }

describe('what is said of the device', () => {
  it('names what the browser withholds', () => {
    expect(deviceNotes(gpu, all)).toEqual(['webgpu'])
    expect(deviceNotes({ ...gpu, software: true }, all)).toEqual(['software'])
    expect(deviceNotes({ ...gpu, float16: ['cache', 'tiles'] }, all)).toEqual(['webgpu', 'half'])
    expect(deviceNotes(wasm, all)).toEqual(['other'])
    expect(deviceNotes(wasm, { ...all, hasWebGpu: false })).toEqual(['no-webgpu'])
    expect(deviceNotes(wasm, { ...all, hasSharedMemory: false })).toEqual(['one-thread'])
    expect(deviceNotes(wasm, { ...all, hasWebGpu: false, hasSharedMemory: false })).toEqual([
      'no-webgpu-one-thread',
    ])
    expect(deviceNotes({ ...wasm, hasSimd: false }, all)).toEqual(['other', 'no-simd'])
    expect(deviceNotes({ ...gpu, hasSimd: false }, all)).toEqual(['webgpu'])
    // One thread is what plain JavaScript has anyway.
    expect(deviceNotes({ ...wasm, backend: 'cpu' }, { ...all, hasSharedMemory: false })).toEqual(['other'])
  })

  it('leaves it to the sentence about plain HTTP where that is why', () => {
    const plain = { secure: false, hasWebGpu: false, hasSharedMemory: false, isPhone: false }
    expect(deviceNotes(wasm, plain)).toEqual(['other'])
  })

  it('asks of a phone that it stays awake', () => {
    expect(deviceNotes(gpu, { ...all, isPhone: true })).toEqual(['webgpu', 'phone'])
  })
})
