/**
 * What the device can do at most, by kernels that do nothing else: multiply-adds in registers, and streams through memory
 * (STREAM's copy and add, https://www.cs.virginia.edu/stream/ref.html) of several sizes, the small ones within caches. What
 * an op would take at these speeds is the least that it can take.
 */
import { MAX_WORKGROUPS } from '../models/plan/recorder.ts'
import { type Place, placeOf } from './conditions.ts'
import type { WebgpuPair } from './devices.ts'
import type { Log } from './run-bench.ts'
import { startClocks, workMs } from './timing.ts'

export interface Peaks extends Place {
  readonly fmaGflops: number
  readonly fmaVariant: string
  /** By bytes moved, ascending. */
  readonly bandwidths: readonly Bandwidth[]
}

export interface Bandwidth {
  /** Read and written in one pass over the buffers. */
  readonly bytes: number
  readonly kernel: string
  readonly gigabytesPerSecond: number
}

const LINE = 64
const FMA_ROUNDS = 256
const SIZES = [2 ** 18, 2 ** 21, 2 ** 24, 2 ** 27] as const
/** Long enough that starting and ending do not count. */
const LEAST_MS = 100

/**
 * Sums of four numbers that do not wait for each other: few are held up by the multiply-add's latency, many do not fit the
 * registers, and which is which is the device's.
 */
const CHAINS = [2, 4, 8] as const
const FORMS: Readonly<Record<string, (sum: string) => string>> = {
  'fma()': (sum) => `fma(${sum}, factor, shift)`,
  'a * b + c': (sum) => `${sum} * factor + shift`,
}

export async function measurePeaks({ gpu, plan }: WebgpuPair, log: Log): Promise<Peaks> {
  const { device, software } = gpu
  let fmaGflops = 0
  let fmaVariant = ''
  for (const chains of CHAINS) {
    for (const [form, step] of Object.entries(FORMS)) {
      const gflops = await fmaSpeed(device, software, chains, step)
      log(`peak: ${form}, ${chains} vectors of 4: ${gflops.toFixed(1)} GFLOP/s`)
      if (gflops > fmaGflops) {
        fmaGflops = gflops
        fmaVariant = `${form}, ${chains} vectors of 4`
      }
    }
  }
  const bandwidths: Bandwidth[] = []
  for (const size of SIZES) {
    let best: Bandwidth | null = null
    for (const kernel of ['copy', 'add'] as const) {
      const speed = await streamSpeed(device, software, kernel, size)
      log(`peak: ${kernel} of ${speed.bytes} bytes: ${speed.gigabytesPerSecond.toFixed(1)} GB/s`)
      if (!best || speed.gigabytesPerSecond > best.gigabytesPerSecond) best = speed
    }
    bandwidths.push(best!)
  }
  return { ...placeOf(plan), fmaGflops, fmaVariant, bandwidths }
}

async function fmaSpeed(
  device: GPUDevice,
  software: boolean,
  chains: number,
  step: (sum: string) => string,
): Promise<number> {
  const sums = Array.from({ length: chains }, (_, i) => `s${i}`)
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
  const flopsPerGroup = LINE * FMA_ROUNDS * chains * 4 * 2
  const buffer = device.createBuffer({ size: mostGroups * LINE * 16, usage: GPUBufferUsage.STORAGE })
  const run = runner(device, software, code, [buffer])
  try {
    for (let groups = 64; ; groups *= 2) {
      const count = Math.min(groups, mostGroups)
      const ms = await run(count, 1)
      if (ms < LEAST_MS && count < mostGroups) continue
      const best = Math.min(await run(count, 1), await run(count, 1), await run(count, 1))
      return (count * flopsPerGroup) / best / 1e6
    }
  } finally {
    buffer.destroy()
  }
}

/** Vectors an invocation takes: enough to pay for its start, few enough for many invocations to be under way. */
const VECTORS = 4
/** Of a stream that whole workgroups take. */
const GRAIN_BYTES = LINE * VECTORS * 16

async function streamSpeed(
  device: GPUDevice,
  software: boolean,
  kernel: 'copy' | 'add',
  size: number,
): Promise<Bandwidth> {
  const sources = kernel === 'copy' ? ['a'] : ['a', 'b']
  const streams = sources.length + 1
  const each = Math.floor(size / streams / GRAIN_BYTES) * GRAIN_BYTES
  const invocations = each / 16 / VECTORS
  const lines = Array.from({ length: VECTORS }, (_, i) => {
    const at = `id.x + ${i * invocations}u`
    return `  result[${at}] = ${sources.map((source) => `${source}[${at}]`).join(' + ')};`
  })
  const code = `
${sources.map((source, i) => `@group(0) @binding(${i}) var<storage, read> ${source}: array<vec4<f32>>;`).join('\n')}
@group(0) @binding(${sources.length}) var<storage, read_write> result: array<vec4<f32>>;
@compute @workgroup_size(${LINE})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
${lines.join('\n')}
}`
  const buffers = Array.from({ length: streams }, () =>
    device.createBuffer({ size: each, usage: GPUBufferUsage.STORAGE }),
  )
  const run = runner(device, software, code, buffers)
  try {
    const groups = invocations / LINE
    await run(groups, 1)
    let repeats = 1
    while (repeats < 4096 && (await run(groups, repeats)) < LEAST_MS) repeats *= 2
    let best = Number.POSITIVE_INFINITY
    for (let lap = 0; lap < 3; lap++) best = Math.min(best, await run(groups, repeats))
    const bytes = streams * each
    return { bytes, kernel, gigabytesPerSecond: (bytes * repeats) / best / 1e6 }
  } finally {
    for (const buffer of buffers) buffer.destroy()
  }
}

/** Runs a kernel over so many workgroups, so many times, and resolves with its milliseconds, by the clock that fits the adapter. */
function runner(device: GPUDevice, software: boolean, code: string, buffers: readonly GPUBuffer[]) {
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  })
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  })
  return async (groups: number, repeats: number): Promise<number> => {
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, group)
    for (let repeat = 0; repeat < repeats; repeat++) pass.dispatchWorkgroups(groups)
    pass.end()
    const commands = encoder.finish()
    const read = startClocks()
    device.queue.submit([commands])
    await device.queue.onSubmittedWorkDone()
    return workMs(read(), software)
  }
}
