/** Opening a GPUDevice, and telling a GPU from a program on the CPU. */
import { describe, expect, it } from 'vitest'
import { isSoftwareAdapter, openGpuDevice } from './gpu-device.ts'
import { openNodeGpuDevice } from './node.ts'

describe('isSoftwareAdapter', () => {
  it.each([
    [{ vendor: 'google', architecture: 'swiftshader', description: '' }, true],
    [{ vendor: 'mesa', architecture: 'software', description: 'llvmpipe: Mesa 25.0.7 (LLVM 15.0.6)' }, true],
    [{ vendor: 'microsoft', description: 'Microsoft Basic Render Driver' }, true],
    [{ vendor: 'google', isFallbackAdapter: true }, true],
    [{ vendor: 'apple', architecture: 'metal-3', device: '', description: '' }, false],
    [{ vendor: 'nvidia', architecture: 'ampere', description: 'NVIDIA GeForce RTX 3060' }, false],
    [{}, false],
  ])('%o: %s', (info, software) => {
    expect(isSoftwareAdapter(info)).toBe(software)
  })
})

it('says in one sentence what is missing', async () => {
  await expect(openGpuDevice(undefined)).rejects.toMatchObject({ code: 'device/no-webgpu' })
  const noAdapter = { requestAdapter: async () => null } as unknown as GPU
  await expect(openGpuDevice(noAdapter)).rejects.toMatchObject({ code: 'device/no-adapter' })
})

describe.skipIf(process.env.ONEROUND_TEST_GPU === 'none')('a device in Node', () => {
  it('has the adapter’s limits, more than the defaults', async () => {
    const gpu = await openNodeGpuDevice()
    expect(gpu.device.limits.maxBufferSize).toBeGreaterThan(268_435_456)
    expect(gpu.description).toMatch(/\(WebGPU\)$/)
    gpu.close()
  })

  it('passes on the first error that nobody caught', async () => {
    const gpu = await openNodeGpuDevice()
    gpu.check()
    // Neither mappable nor anything else: an invalid usage.
    gpu.device.createBuffer({ size: 4, usage: 0 })
    await gpu.device.queue.onSubmittedWorkDone()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(() => gpu.check()).toThrow(expect.objectContaining({ code: 'device/error' }))
    gpu.close()
  })

  it('says when it is gone', async () => {
    const gpu = await openNodeGpuDevice()
    gpu.close()
    expect(await gpu.lost).toBe('The graphics device was closed.')
  })
})
