/**
 * Vitest's global set-up: chooses the WebGPU adapter that the tests run on before their processes start.
 *
 * ONEROUND_TEST_GPU says which: `system` (set by the person: leave the machine's own adapter alone), else set
 * here to `lavapipe`, `swiftshader` or `none`. Tests that need an adapter skip on `none`.
 */
import { findSoftwareGpu } from './software-gpu.ts'

export default async function chooseTestGpu(): Promise<void> {
  if (process.env.ONEROUND_TEST_GPU === 'system' || process.platform !== 'linux') {
    process.env.ONEROUND_TEST_GPU = 'system'
    return
  }
  const gpu = await findSoftwareGpu()
  if (gpu === undefined) {
    process.env.ONEROUND_TEST_GPU = 'none'
    process.stderr.write(
      'No WebGPU tests: no software Vulkan driver found (install Chromium, or Mesa 24 or newer with lavapipe).\n',
    )
    return
  }
  Object.assign(process.env, gpu.environment)
  process.env.ONEROUND_TEST_GPU = gpu.driver
  // Clamped indices and zeroed workgroup memory are a third of what a software adapter compiles. Kernels must not
  // need either: without them a stray index crashes. The full tests and Chromium run kernels as everybody does.
  if (process.env.ONEROUND_FULL !== '1')
    process.env.ONEROUND_DAWN_TOGGLES ??= 'disable_robustness,disable_workgroup_init'
  process.stderr.write(`WebGPU tests run on ${gpu.driver} (${gpu.adapter})\n`)
}
