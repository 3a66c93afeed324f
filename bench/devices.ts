/**
 * The WebGPU devices of one bench run: two on the same adapter, one for the plan engine and one for tfjs's own backend,
 * so that neither waits for the other's buffers. Software adapters are asked for by name, since they say nothing of speed.
 */
import type { Engine } from '../models/backend/engine.ts'
import type { GpuDevice } from '../models/backend/gpu-device.ts'
import { openNodeGpuDevice, rememberedKernels } from '../models/backend/node.ts'
import { createPlanEngine, type PlanEngine } from '../models/plan/plan-engine.ts'
import { openTfjsWebgpu } from '../models/testing/tfjs-webgpu.ts'
import { findSoftwareGpu } from '../scripts/software-gpu.ts'
import type { Log } from './run-bench.ts'

/** What the plan's device was asked to do, in host time. */
export interface SubmitMeter {
  /** Milliseconds inside `queue.submit` since the start. */
  readonly submitMs: () => number
  readonly writeMs: () => number
}

export interface WebgpuPair {
  readonly gpu: GpuDevice
  readonly plan: PlanEngine
  readonly planMeter: SubmitMeter
  /** tfjs's own WebGPU backend; current in tfjs while nothing else makes itself so. */
  readonly plain: Engine
  readonly plainMeter: SubmitMeter
  readonly software: boolean
}

/** Null, with the reason on the log, where there is no adapter. */
export async function openWebgpu(software: boolean, log: Log): Promise<WebgpuPair | null> {
  if (software) {
    const found = await findSoftwareGpu('benches')
    if (found) Object.assign(process.env, found.environment)
  }
  const gpu = await openNodeGpuDevice().catch((error: Error) => {
    log(`No WebGPU here: ${error.message}`)
    return null
  })
  if (!gpu) return null
  const planMeter = meter(gpu.device)
  const plan = createPlanEngine({ ...gpu, ...rememberedKernels(gpu) })
  const second = await openNodeGpuDevice()
  const plainMeter = meter(second.device)
  const plain = await openTfjsWebgpu(second)
  return { gpu, plan, planMeter, plain, plainMeter, software: gpu.software }
}

/** Times a queue's own calls from outside. */
function meter({ queue }: GPUDevice): SubmitMeter {
  const spent = { submit: 0, write: 0 }
  const submit = queue.submit.bind(queue)
  queue.submit = (buffers) => {
    const start = performance.now()
    submit(buffers)
    spent.submit += performance.now() - start
    return undefined
  }
  const write = queue.writeBuffer.bind(queue) as (...given: unknown[]) => undefined
  queue.writeBuffer = ((...given: unknown[]) => {
    const start = performance.now()
    write(...given)
    spent.write += performance.now() - start
  }) as typeof queue.writeBuffer
  return { submitMs: () => spent.submit, writeMs: () => spent.write }
}

export interface WebgpuDescription {
  readonly device: string
  readonly vendor: string
  readonly architecture: string
  readonly software: boolean
  readonly features: readonly string[]
  /** How the plan's hot kernels are written here, and whether variants were timed on the device. */
  readonly kernels: string
  readonly tuned: boolean
}

export const describeWebgpu = ({ gpu, plan }: WebgpuPair): WebgpuDescription => ({
  device: gpu.description,
  vendor: gpu.adapterInfo.vendor,
  architecture: gpu.adapterInfo.architecture,
  software: gpu.software,
  features: [...gpu.device.features].sort(),
  kernels: plan.style,
  tuned: !gpu.software,
})
