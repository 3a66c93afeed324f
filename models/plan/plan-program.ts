/**
 * A recorded program, ready to replay: write the inputs, encode the dispatches, submit. Nothing is allocated in a
 * replay; a staging buffer per output is made at first read and kept.
 *
 * A long replay goes out in several submits of about `SUBMIT_MS` each, by the speed measured so far, so that the
 * desktop stays alive and no watchdog ends the device.
 */
import type { InputSpec, Program, ProgramInputs, ProgramStats } from '../backend/engine.ts'
import { BUFFER_USAGE } from './buffer-usage.ts'
import type { DeviceMemory } from './device-memory.ts'
import { layOut } from './layout.ts'
import type { Pipelines } from './pipelines.ts'
import type { PlanTensor } from './plan-tensor.ts'
import { type Profile, type ProfileOptions, type Step, submitted, timeKernels } from './profile.ts'
import type { Dispatch, Recorder } from './recorder.ts'
import type { KernelChooser } from './tuner.ts'

const SUBMIT_MS = 80
/** Before anything was measured: under 100 ms on a 100 GFLOP/s integrated GPU. */
const FIRST_SUBMIT_FLOPS = 5e9
/** Replays under way at once: one running, one waiting, so that the device never idles and memory stays bounded. */
const MAX_IN_FLIGHT = 2

/** What a program needs of its engine. */
export interface PlanHost {
  readonly device: GPUDevice
  readonly memory: DeviceMemory
  readonly pipelines: Pipelines
  readonly tuner?: KernelChooser
  /** Throws the engine's named error once the device is lost or has reported a fault. */
  check(): void
  /** Counts what was replayed. */
  replayed(dispatches: number): void
}

export class PlanProgram implements Program {
  readonly name: string
  private readonly host: PlanHost
  private readonly inputs: ReadonlyArray<InputSpec & { readonly tensor: PlanTensor }>
  private readonly outputs: ReadonlyMap<string, PlanTensor>
  private readonly steps: readonly Step[]
  private readonly buffers: readonly GPUBuffer[]
  private readonly bufferOf: (tensor: PlanTensor) => GPUBuffer
  private readonly intermediateBytes: number
  private readonly flops: number
  private readonly staging = new Map<string, GPUBuffer[]>()
  private readonly inFlight: Promise<unknown>[] = []
  private flopsPerMs = FIRST_SUBMIT_FLOPS / SUBMIT_MS
  private replays = 0
  private encodeMs = 0
  private submitMs = 0
  private disposed = false

  private constructor(
    host: PlanHost,
    name: string,
    inputs: ReadonlyArray<InputSpec & { readonly tensor: PlanTensor }>,
    outputs: ReadonlyMap<string, PlanTensor>,
    steps: readonly Step[],
    transient: { buffers: readonly GPUBuffer[]; bytes: number; bufferOf: (tensor: PlanTensor) => GPUBuffer },
  ) {
    this.host = host
    this.name = name
    this.inputs = inputs
    this.outputs = outputs
    this.steps = steps
    this.buffers = transient.buffers
    this.bufferOf = transient.bufferOf
    this.intermediateBytes = transient.bytes
    this.flops = steps.reduce((sum, step) => sum + step.flops, 0)
  }

  static async create(
    host: PlanHost,
    name: string,
    inputs: ReadonlyArray<InputSpec & { readonly tensor: PlanTensor }>,
    outputs: ReadonlyMap<string, PlanTensor>,
    recorder: Recorder,
  ): Promise<PlanProgram> {
    const { device, memory, pipelines } = host
    const recorded = withoutDead(recorder.dispatches, outputs)
    const transient = placeTransients(memory, name, recorded, outputs)
    const groupOf = (dispatch: Dispatch) =>
      device.createBindGroup({
        label: dispatch.name,
        layout: pipelines.groupLayout(dispatch.access),
        entries: dispatch.tensors.map((tensor, binding) => ({
          binding,
          resource: {
            buffer: transient.bufferOf(tensor),
            offset: tensor.offsetBytes,
            size: Math.max(4, tensor.bytes),
          },
        })),
      })
    try {
      const dispatches = host.tuner
        ? await host.tuner.resolve(recorded, async (dispatch, repeats) => {
            const pipeline = await pipelines.compile(dispatch)
            const step = { pipeline, group: groupOf(dispatch), workgroups: dispatch.workgroups }
            return submitted(device, [step], repeats)
          })
        : recorded
      host.check()
      const compiled = await Promise.all(dispatches.map((dispatch) => pipelines.compile(dispatch)))
      const steps = dispatches.map(
        (dispatch, index): Step => ({
          name: dispatch.name,
          pipeline: compiled[index],
          group: groupOf(dispatch),
          workgroups: dispatch.workgroups,
          flops: dispatch.flops,
          bytes: dispatch.tensors.reduce((sum, { bytes }) => sum + bytes, 0),
        }),
      )
      return new PlanProgram(host, name, inputs, outputs, steps, transient)
    } catch (error) {
      for (const buffer of transient.buffers) memory.destroy(buffer)
      throw error
    }
  }

  get stats(): ProgramStats {
    return {
      dispatches: this.steps.length,
      intermediateBytes: this.intermediateBytes,
      replays: this.replays,
      flops: this.flops,
      encodeMs: this.encodeMs,
      submitMs: this.submitMs,
    }
  }

  async run(inputs: ProgramInputs, read: readonly string[] = []): Promise<Record<string, Float32Array>> {
    if (this.disposed) throw new Error(`${this.name} was disposed`)
    while (this.inFlight.length >= MAX_IN_FLIGHT) await this.inFlight[0]
    this.host.check()
    const { device } = this.host
    const writing = performance.now()
    this.write(inputs)
    this.encodeMs += performance.now() - writing
    this.submit()
    const copies = read.map((name) => this.copyOut(name))
    this.replays++
    this.host.replayed(this.steps.length)
    const started = performance.now()
    const alone = this.inFlight.length === 0
    const leave = () => {
      this.inFlight.splice(this.inFlight.indexOf(done), 1)
      // Replays that overlap wait for each other, so only a lone one tells the device's speed.
      if (alone) this.flopsPerMs = Math.max(1e4, this.flops / Math.max(0.1, performance.now() - started))
    }
    // A lost device rejects: `check` has the sentence for it.
    const done: Promise<void> = device.queue.onSubmittedWorkDone().then(leave, leave)
    this.inFlight.push(done)
    const result: Record<string, Float32Array> = {}
    for (const copy of copies) result[copy.name] = await this.collect(copy)
    this.host.check()
    return result
  }

  /**
   * Time by kernel. What the program computes and updates is meaningless afterwards: for programs made for this.
   */
  async profile({ inputs, ...options }: ProfileOptions = {}): Promise<Profile> {
    while (this.inFlight.length > 0) await this.inFlight[0]
    if (inputs) this.write(inputs)
    const profile = await timeKernels(this.host.device, this.steps, options)
    this.host.check()
    return profile
  }

  private write(inputs: ProgramInputs): void {
    const { device } = this.host
    for (const { name, tensor, dtype } of this.inputs) {
      const values = inputs[name]
      const right = dtype === 'int32' ? values instanceof Int32Array : values instanceof Float32Array
      if (!right || values.length !== tensor.elements) {
        throw new RangeError(`${this.name}: input ${name} must be ${dtype} [${tensor.shape}]`)
      }
      device.queue.writeBuffer(this.bufferOf(tensor), tensor.offsetBytes, values as Float32Array<ArrayBuffer>)
    }
  }

  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    for (const buffer of this.buffers) this.host.memory.destroy(buffer)
    for (const { tensor } of this.inputs) this.host.memory.destroy(this.bufferOf(tensor))
    for (const buffers of this.staging.values())
      for (const buffer of buffers) this.host.memory.destroy(buffer)
  }

  private submit(): void {
    const { device } = this.host
    const budget = this.flopsPerMs * SUBMIT_MS
    let at = 0
    while (at < this.steps.length) {
      const started = performance.now()
      const encoder = device.createCommandEncoder()
      const pass = encoder.beginComputePass()
      let flops = 0
      let pipeline: GPUComputePipeline | null = null
      while (at < this.steps.length && (flops === 0 || flops + this.steps[at].flops <= budget)) {
        const step = this.steps[at++]
        if (step.pipeline !== pipeline) {
          pipeline = step.pipeline
          pass.setPipeline(pipeline)
        }
        pass.setBindGroup(0, step.group)
        pass.dispatchWorkgroups(...step.workgroups)
        flops += step.flops
      }
      pass.end()
      const commands = encoder.finish()
      const encoded = performance.now()
      device.queue.submit([commands])
      this.encodeMs += encoded - started
      this.submitMs += performance.now() - encoded
    }
  }

  private copyOut(name: string): { name: string; tensor: PlanTensor; buffer: GPUBuffer } {
    const tensor = this.outputs.get(name)
    if (!tensor) throw new RangeError(`${this.name} has no output ${name}`)
    const { device, memory } = this.host
    const buffer =
      this.staging.get(name)?.pop() ??
      memory.create(tensor.bytes, BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST, `${this.name}.${name}`)
    const encoder = device.createCommandEncoder()
    encoder.copyBufferToBuffer(this.bufferOf(tensor), tensor.offsetBytes, buffer, 0, tensor.bytes)
    device.queue.submit([encoder.finish()])
    return { name, tensor, buffer }
  }

  private async collect({
    name,
    tensor,
    buffer,
  }: {
    name: string
    tensor: PlanTensor
    buffer: GPUBuffer
  }): Promise<Float32Array> {
    try {
      await buffer.mapAsync(GPUMapMode.READ)
    } catch (error) {
      this.host.check()
      throw error
    }
    const values = new Float32Array(buffer.getMappedRange(0, tensor.bytes).slice(0))
    buffer.unmap()
    if (this.disposed) this.host.memory.destroy(buffer)
    else this.staging.set(name, [...(this.staging.get(name) ?? []), buffer])
    return values
  }
}

/**
 * Drops dispatches nobody reads: those whose every written tensor is transient, is not an output and is read by
 * no kept dispatch.
 */
export function withoutDead(
  dispatches: readonly Dispatch[],
  outputs: ReadonlyMap<string, PlanTensor>,
): Dispatch[] {
  const needed = new Set<number>()
  const note = (tensor: PlanTensor) => {
    if (tensor.storage.kind === 'transient') needed.add(tensor.storage.id)
  }
  for (const tensor of outputs.values()) note(tensor)
  const kept: Dispatch[] = []
  for (let index = dispatches.length - 1; index >= 0; index--) {
    const dispatch = dispatches[index]
    const matters = dispatch.tensors.some(
      ({ storage }, binding) =>
        dispatch.access[binding] === 'w' && (storage.kind === 'persistent' || needed.has(storage.id)),
    )
    if (!matters) continue
    kept.push(dispatch)
    for (const tensor of dispatch.tensors) note(tensor)
  }
  return kept.reverse()
}

/** Which transient tensor shares which buffer, and how large the buffers are. */
export function transientSlots(
  dispatches: readonly Dispatch[],
  outputs: ReadonlyMap<string, PlanTensor>,
): { ids: readonly number[]; slotOf: readonly number[]; slotBytes: readonly number[] } {
  const lifetimes = new Map<number, { bytes: number; first: number; last: number }>()
  const touch = (tensor: PlanTensor, at: number) => {
    const { storage } = tensor
    if (storage.kind !== 'transient') return
    const known = lifetimes.get(storage.id)
    if (known) known.last = at
    else lifetimes.set(storage.id, { bytes: storage.bytes, first: at, last: at })
  }
  dispatches.forEach((dispatch, at) => {
    for (const tensor of dispatch.tensors) touch(tensor, at)
  })
  // Outputs are read after the last dispatch.
  for (const tensor of outputs.values()) touch(tensor, dispatches.length)
  const ids = [...lifetimes.keys()]
  return { ids, ...layOut(ids.map((id) => lifetimes.get(id)!)) }
}

function placeTransients(
  memory: DeviceMemory,
  name: string,
  dispatches: readonly Dispatch[],
  outputs: ReadonlyMap<string, PlanTensor>,
) {
  const { ids, slotOf, slotBytes } = transientSlots(dispatches, outputs)
  const buffers: GPUBuffer[] = []
  try {
    for (const bytes of slotBytes) {
      buffers.push(
        memory.create(bytes, BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST, name),
      )
    }
  } catch (error) {
    for (const buffer of buffers) memory.destroy(buffer)
    throw error
  }
  const slots = new Map(ids.map((id, index) => [id, buffers[slotOf[index]]]))
  return {
    buffers,
    bytes: slotBytes.reduce((sum, bytes) => sum + bytes, 0),
    bufferOf: ({ storage }: PlanTensor): GPUBuffer => {
      if (storage.kind === 'persistent') return storage.buffer
      const buffer = slots.get(storage.id)
      if (!buffer) throw new RangeError(`${name} returns a tensor nothing writes`)
      return buffer
    },
  }
}
