/**
 * Where a program's time goes: every kernel's dispatches are run by themselves, all of one kernel in one submit (the 30
 * layers' query projections, say, each over its own weight), as often as it takes to be measurable, and waited for.
 * That works on every device; timestamp queries are missing on many and in browsers rounded to 100 µs.
 *
 * Kernels run out of order and repeatedly, so what the program computes and updates is meaningless afterwards: profile
 * a program of its own, with parameters of its own.
 */
import type { ProgramInputs } from '../backend/engine.ts'

/** One recorded dispatch, ready to run. */
export interface Step {
  readonly name: string
  readonly pipeline: GPUComputePipeline
  readonly group: GPUBindGroup
  readonly workgroups: readonly [number, number, number]
  readonly flops: number
  /** Of everything bound, each buffer range once: what an ideal kernel would move. */
  readonly bytes: number
}

/** All dispatches of one kernel in one replay. */
export interface KernelTime {
  /** As recorded: 'linear.forward.tiled'. Kernels of one name may differ in their sizes. */
  readonly name: string
  readonly dispatches: number
  readonly ms: number
  readonly flops: number
  readonly bytes: number
}

export interface Profile {
  /** The slowest first. Their sum is what one replay would take on the device alone. */
  readonly kernels: readonly KernelTime[]
  readonly totalMs: number
}

export interface ProfileOptions {
  /** Inputs that make sense (token ids in range); zeros without. */
  readonly inputs?: ProgramInputs
  /** A kernel is repeated until its runs have taken this long. */
  readonly minMs?: number
  /**
   * Milliseconds so far, by whatever clock times are to be told. Left out: the wall's. Where the processor plays GPU, its own
   * time tells the work apart from what else the machine does.
   */
  readonly now?: () => number
}

const REPEATS = 200

export async function timeKernels(
  device: GPUDevice,
  steps: readonly Step[],
  { minMs = 5, now }: Pick<ProfileOptions, 'minMs' | 'now'> = {},
): Promise<Profile> {
  const groups = new Map<string, Step[]>()
  const keys = new Map<GPUComputePipeline, number>()
  for (const step of steps) {
    if (!keys.has(step.pipeline)) keys.set(step.pipeline, keys.size)
    // Sources that come out equal share a pipeline whatever their names.
    const key = `${step.name} ${keys.get(step.pipeline)}`
    groups.set(key, [...(groups.get(key) ?? []), step])
  }
  // What a submit costs by itself, on a machine that may be busy.
  let nothing = await submitted(device, [], 1, now)
  for (let attempt = 0; attempt < 5; attempt++)
    nothing = Math.min(nothing, await submitted(device, [], 1, now))
  const kernels: KernelTime[] = []
  for (const group of groups.values()) {
    let repeats = 1
    // Drivers that compile late do it here.
    await submitted(device, group.slice(0, 1), 1)
    let ms = await submitted(device, group, repeats, now)
    if (ms < minMs) {
      repeats = Math.min(REPEATS, Math.ceil(minMs / Math.max(ms, 0.01)))
      ms = await submitted(device, group, repeats, now)
    }
    kernels.push({
      name: group[0].name,
      dispatches: group.length,
      ms: Math.max(0, ms - nothing) / repeats,
      flops: group.reduce((sum, { flops }) => sum + flops, 0),
      bytes: group.reduce((sum, { bytes }) => sum + bytes, 0),
    })
  }
  kernels.sort((a, b) => b.ms - a.ms)
  return { kernels, totalMs: kernels.reduce((sum, { ms }) => sum + ms, 0) }
}

/** Milliseconds from submit until the device is done. */
export async function submitted(
  device: GPUDevice,
  steps: readonly Pick<Step, 'pipeline' | 'group' | 'workgroups'>[],
  repeats: number,
  now = () => performance.now(),
): Promise<number> {
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const { pipeline, group, workgroups } of steps) {
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(...workgroups)
    }
  }
  pass.end()
  const commands = encoder.finish()
  const start = now()
  device.queue.submit([commands])
  await device.queue.onSubmittedWorkDone()
  return now() - start
}

/** One line a kernel, for people. */
export function profileTable({ kernels, totalMs }: Profile): string {
  const lines = kernels.map(({ name, dispatches, ms, flops, bytes }) =>
    [
      name.padEnd(28),
      `${dispatches}`.padStart(5),
      `${ms.toFixed(2)} ms`.padStart(12),
      `${((100 * ms) / totalMs).toFixed(1)} %`.padStart(8),
      `${(flops / ms / 1e6).toFixed(2)} GFLOP/s`.padStart(16),
      `${(bytes / ms / 1e6).toFixed(2)} GB/s`.padStart(14),
    ].join(''),
  )
  return [...lines, `${'all'.padEnd(28)}${totalMs.toFixed(2).padStart(14)} ms`].join('\n')
}
