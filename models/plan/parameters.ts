/**
 * A parameter set on the GPU: values, gradients and the two moments each in one flat buffer, every matrix at an
 * aligned offset, so that one AdamW dispatch steps them all.
 */
import type { Parameter, ParameterSet } from '../ops/ops.ts'
import { BUFFER_USAGE } from './buffer-usage.ts'
import type { DeviceMemory } from './device-memory.ts'
import { alignUp, BINDING_ALIGNMENT, PlanTensor } from './plan-tensor.ts'

export type BufferReader = (buffer: GPUBuffer, bytes: number) => Promise<Float32Array>

interface Moments {
  readonly values: PlanTensor
  readonly gradients: PlanTensor
  readonly first: PlanTensor
  readonly second: PlanTensor
}

/** Sums of gradients are there only where batches pass through in parts. */
type Kind = 'values' | 'gradients' | 'first' | 'second' | 'sums'

const owners = new WeakMap<Parameter, ParameterStorage>()

/** Where the gradient of a parameter is written. */
export function gradientSlot(parameter: Parameter): PlanTensor {
  const owner = owners.get(parameter)
  if (!owner) throw new TypeError(`${parameter.name} belongs to another engine`)
  return owner.gradient(parameter)
}

export class ParameterStorage implements ParameterSet {
  readonly parameters: ReadonlyMap<string, Parameter>
  private readonly device: GPUDevice
  private readonly memory: DeviceMemory
  private readonly readBuffer: BufferReader
  private readonly flatBytes: number
  private readonly offsets = new Map<string, { offsetBytes: number; elements: number }>()
  private readonly buffers: {
    values: GPUBuffer
    gradients?: GPUBuffer
    first?: GPUBuffer
    second?: GPUBuffer
    sums?: GPUBuffer
  }

  constructor(
    device: GPUDevice,
    memory: DeviceMemory,
    readBuffer: BufferReader,
    specs: ReadonlyArray<{ name: string; shape: readonly [number, number] }>,
  ) {
    this.device = device
    this.memory = memory
    this.readBuffer = readBuffer
    let bytes = 0
    for (const { name, shape } of specs) {
      if (this.offsets.has(name)) throw new RangeError(`parameter ${name} twice`)
      const elements = shape[0] * shape[1]
      this.offsets.set(name, { offsetBytes: bytes, elements })
      bytes = alignUp(bytes + elements * 4, BINDING_ALIGNMENT)
    }
    this.flatBytes = Math.max(bytes, BINDING_ALIGNMENT)
    this.buffers = { values: this.create('parameters') }
    const storage = { kind: 'persistent', buffer: this.buffers.values } as const
    const parameters = new Map<string, Parameter>()
    for (const { name, shape } of specs) {
      const value = new PlanTensor(storage, shape, 'float32', this.offsets.get(name)!.offsetBytes)
      const parameter = { name, shape, value }
      parameters.set(name, parameter)
      owners.set(parameter, this)
    }
    this.parameters = parameters
  }

  /** Where a parameter's gradient is written; an adapter that is only read never needs the buffer. */
  gradient(parameter: Parameter): PlanTensor {
    const { offsetBytes } = this.place(parameter.name)
    return new PlanTensor(this.persistent('gradients'), parameter.shape, 'float32', offsetBytes)
  }

  moments(): Moments {
    return {
      values: this.flat('values'),
      gradients: this.flat('gradients'),
      first: this.flat('first'),
      second: this.flat('second'),
    }
  }

  /** What `accumulate` adds up: one number for each gradient. */
  sums(): PlanTensor {
    return this.flat('sums')
  }

  write(values: ReadonlyMap<string, Float32Array>): void {
    this.writeTo('values', values)
  }

  read(): Promise<Map<string, Float32Array>> {
    return this.readFrom('values')
  }

  readGradients(): Promise<Map<string, Float32Array>> {
    return this.readFrom('gradients')
  }

  async readMoments(): Promise<{ first: Map<string, Float32Array>; second: Map<string, Float32Array> }> {
    const [first, second] = await Promise.all([this.readFrom('first'), this.readFrom('second')])
    return { first, second }
  }

  writeMoments(first: ReadonlyMap<string, Float32Array>, second: ReadonlyMap<string, Float32Array>): void {
    this.writeTo('first', first)
    this.writeTo('second', second)
  }

  dispose(): void {
    for (const buffer of Object.values(this.buffers)) if (buffer) this.memory.destroy(buffer)
  }

  private create(label: string): GPUBuffer {
    return this.memory.create(
      this.flatBytes,
      BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_DST | BUFFER_USAGE.COPY_SRC,
      label,
    )
  }

  private flat(kind: Kind): PlanTensor {
    return new PlanTensor(this.persistent(kind), [this.flatBytes / 4])
  }

  private persistent(kind: Kind) {
    this.buffers[kind] ??= this.create(kind)
    return { kind: 'persistent', buffer: this.buffers[kind]! } as const
  }

  private place(name: string): { offsetBytes: number; elements: number } {
    const place = this.offsets.get(name)
    if (!place) throw new RangeError(`no parameter ${name} in this set`)
    return place
  }

  private writeTo(kind: 'values' | 'first' | 'second', values: ReadonlyMap<string, Float32Array>): void {
    const { buffer } = this.persistent(kind)
    for (const [name, numbers] of values) {
      const { offsetBytes, elements } = this.place(name)
      if (numbers.length !== elements)
        throw new RangeError(`${name} has ${elements} numbers, ${numbers.length} given`)
      this.device.queue.writeBuffer(buffer, offsetBytes, numbers as Float32Array<ArrayBuffer>)
    }
  }

  private async readFrom(kind: Kind): Promise<Map<string, Float32Array>> {
    const flat = await this.readBuffer(this.persistent(kind).buffer, this.flatBytes)
    const result = new Map<string, Float32Array>()
    for (const [name, { offsetBytes, elements }] of this.offsets) {
      result.set(name, flat.slice(offsetBytes / 4, offsetBytes / 4 + elements))
    }
    return result
  }
}
