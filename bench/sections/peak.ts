/**
 * What the device can do at most, by kernels that do nothing else: multiply-adds in registers, and a copy of a buffer
 * too large for caches. Shares of these peaks say how much an op leaves on the table.
 */
import { MAX_WORKGROUPS } from '../../models/plan/recorder.ts'
import type { BenchContext, Skipped } from '../section.ts'
import { startClocks, workMs } from '../timing.ts'

export interface PeakResult {
  readonly fmaGflops: number
  readonly fmaVariant: string
  readonly bandwidthGBs: number
  readonly copiedBytes: number
}

const LINE = 64
/** Independent sums, so that no multiply-add waits for the one before. */
const CHAINS = 8
const FMA_ROUNDS = 256
const COPY_BYTES = 2 ** 26
/** Long enough that starting and ending do not count. */
const LEAST_MS = 150

const VARIANTS: Readonly<Record<string, (sum: string) => string>> = {
  'fma()': (sum) => `fma(${sum}, factor, shift)`,
  'a * b + c': (sum) => `${sum} * factor + shift`,
}

export async function benchPeak({ webgpu, log, found }: BenchContext): Promise<PeakResult | Skipped> {
  if (!webgpu) return { skipped: 'no WebGPU adapter' }
  const { gpu, software } = webgpu
  let fmaGflops = 0
  let fmaVariant = ''
  for (const [name, step] of Object.entries(VARIANTS)) {
    const gflops = await fmaSpeed(gpu.device, software, step)
    log(`peak: ${name} ${gflops.toFixed(1)} GFLOP/s`)
    if (gflops > fmaGflops) {
      fmaGflops = gflops
      fmaVariant = name
    }
  }
  const bandwidthGBs = await copySpeed(gpu.device, software)
  log(`peak: copy ${bandwidthGBs.toFixed(1)} GB/s`)
  found.peakFmaGflops = fmaGflops
  found.bandwidthGBs = bandwidthGBs
  return { fmaGflops, fmaVariant, bandwidthGBs, copiedBytes: COPY_BYTES }
}

async function fmaSpeed(
  device: GPUDevice,
  software: boolean,
  step: (sum: string) => string,
): Promise<number> {
  const sums = Array.from({ length: CHAINS }, (_, i) => `s${i}`)
  const code = `
@group(0) @binding(0) var<storage, read_write> result: array<vec4<f32>>;
@compute @workgroup_size(${LINE})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let factor = vec4<f32>(1.0 - 1e-7 * f32(id.x & 7u));
  let shift = vec4<f32>(1e-7 * f32(id.x & 3u));
${sums.map((sum, i) => `  var ${sum} = vec4<f32>(f32(id.x + ${i}u));`).join('\n')}
  for (var round = 0u; round < ${FMA_ROUNDS}u; round++) {
${sums.map((sum) => `    ${sum} = ${step(sum)};`).join('\n')}
  }
  result[id.x] = ${sums.join(' + ')};
}`
  const mostGroups = Math.min(
    MAX_WORKGROUPS,
    Math.floor(device.limits.maxStorageBufferBindingSize / (16 * LINE)),
  )
  const flopsPerGroup = LINE * FMA_ROUNDS * CHAINS * 4 * 2
  const buffer = device.createBuffer({ size: mostGroups * LINE * 16, usage: GPUBufferUsage.STORAGE })
  const run = runner(device, software, code, [buffer])
  try {
    for (let groups = 64; ; groups *= 2) {
      const count = Math.min(groups, mostGroups)
      const ms = await run(count)
      if (ms < LEAST_MS && count < mostGroups) continue
      const best = Math.min(await run(count), await run(count), await run(count))
      return (count * flopsPerGroup) / best / 1e6
    }
  } finally {
    buffer.destroy()
  }
}

/** Each byte is read once and written once. */
async function copySpeed(device: GPUDevice, software: boolean): Promise<number> {
  const from = device.createBuffer({ size: COPY_BYTES, usage: GPUBufferUsage.STORAGE })
  const to = device.createBuffer({ size: COPY_BYTES, usage: GPUBufferUsage.STORAGE })
  // Four vectors an invocation: enough for each to pay for its start, few enough for many to be under way.
  const invocations = COPY_BYTES / 16 / 4
  const code = `
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> result: array<vec4<f32>>;
@compute @workgroup_size(${LINE})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
${[0, 1, 2, 3].map((i) => `  result[id.x + ${i * invocations}u] = source[id.x + ${i * invocations}u];`).join('\n')}
}`
  const run = runner(device, software, code, [from, to])
  try {
    const groups = invocations / LINE
    await run(groups)
    let best = Number.POSITIVE_INFINITY
    for (let repeat = 0; repeat < 3; repeat++) best = Math.min(best, await run(groups))
    return (2 * COPY_BYTES) / best / 1e6
  } finally {
    from.destroy()
    to.destroy()
  }
}

/** Runs a kernel over so many workgroups and resolves with its milliseconds, by the clock that fits the adapter. */
function runner(device: GPUDevice, software: boolean, code: string, buffers: readonly GPUBuffer[]) {
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  })
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  })
  return async (groups: number): Promise<number> => {
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, group)
    pass.dispatchWorkgroups(groups)
    pass.end()
    const commands = encoder.finish()
    const read = startClocks()
    device.queue.submit([commands])
    await device.queue.onSubmittedWorkDone()
    return workMs(read(), software)
  }
}
