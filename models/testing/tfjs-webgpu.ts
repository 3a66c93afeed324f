/**
 * tfjs's own WebGPU backend in Node, where it takes only a browser for one that has WebGPU: it is given our device, and
 * asks what stands in for a browser here for nothing.
 */
import type { Engine } from '../backend/engine.ts'
import type { GpuDevice } from '../backend/gpu-device.ts'

/** `gpu` comes from `openNodeGpuDevice`, which defines WebGPU's constants; the engine owns it from here on. */
export async function openTfjsWebgpu(gpu: GpuDevice): Promise<Engine> {
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: {} }, configurable: true })
  Object.assign(globalThis, { WorkerGlobalScope: Object })
  // Imported now: it reads WebGPU's global constants when it loads.
  const { createTfjsWebgpuEngine } = await import('../backend/tfjs-webgpu.ts')
  return createTfjsWebgpuEngine(gpu)
}
