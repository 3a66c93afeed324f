/**
 * An engine without a device, for what a model would take on one: programs are recorded and laid out as on the plan
 * engine, nothing is compiled, allocated or run. Weights count as what they would be; their numbers are not looked at.
 */
import type { DeviceRoom, Engine, EngineMemory, InputSpec, Program } from '../backend/engine.ts'
import { type PackedType, packedBytes } from '../formats/gguf-packed.ts'
import type { KvCache, Ops, ParameterSet, Tensor } from '../ops/ops.ts'
import { wholeRows } from './columns.ts'
import { DeviceMemory } from './device-memory.ts'
import { asMatrix, PackedTensor } from './packed-tensor.ts'
import { ParameterStorage } from './parameters.ts'
import { planOps } from './plan-ops.ts'
import { transientSlots, withoutDead } from './plan-program.ts'
import { PlanTensor } from './plan-tensor.ts'
import { type KernelStyle, Recorder } from './recorder.ts'
import { buffersOf, stack, stackable } from './stack.ts'

export class SizingEngine implements Engine {
  readonly backend = 'webgpu'
  readonly executor = 'plan'
  readonly device = 'no device'
  readonly software = false
  readonly float16 = []
  readonly room: DeviceRoom = { largestBytes: Number.POSITIVE_INFINITY, totalBytes: null }
  readonly lost = new Promise<string>(() => {})
  /** The largest piece asked for, and what for. */
  largest = { bytes: 0, label: '' }
  readonly #style: KernelStyle
  readonly #device: GPUDevice
  readonly #memory: DeviceMemory

  constructor(style: KernelStyle = 'workgroup') {
    this.#style = style
    // What buffers are made of, and nothing else: whatever would run on a device is not reached.
    this.#device = {
      limits: {
        maxBufferSize: Number.POSITIVE_INFINITY,
        maxStorageBufferBindingSize: Number.POSITIVE_INFINITY,
      },
      createBuffer: (descriptor: GPUBufferDescriptor) => this.#sized(descriptor),
      queue: { writeBuffer: () => {} },
    } as unknown as GPUDevice
    this.#memory = new DeviceMemory(this.#device)
  }

  #sized({ size, label = '' }: GPUBufferDescriptor): GPUBuffer {
    if (size > this.largest.bytes) this.largest = { bytes: size, label }
    return { size, destroy: () => {} } as unknown as GPUBuffer
  }

  #persistent(bytes: number, label: string) {
    return { kind: 'persistent', buffer: this.#memory.create(bytes, 0, label) } as const
  }

  /** Only the shape counts. */
  constant(values: Float32Array | Int32Array, shape: readonly number[]): Tensor {
    const bytes = shape.reduce((product, size) => product * size, 4)
    const dtype = values instanceof Int32Array ? 'int32' : 'float32'
    return new PlanTensor(this.#persistent(bytes, 'weight'), shape, dtype)
  }

  /** Only type and shape count. */
  packed(type: PackedType, _: Uint8Array, shape: readonly [number, number]): Tensor {
    const { codes, scales } = packedBytes(type, shape[0] * shape[1])
    const words = (bytes: number) => new PlanTensor(this.#persistent(bytes, 'weight'), [bytes / 4], 'int32')
    return new PackedTensor(type, shape, words(codes), scales > 0 ? words(scales) : undefined)
  }

  stack(tensors: readonly Tensor[]): Tensor[] {
    const matrices = tensors.map(asMatrix)
    if (!stackable(matrices)) return [...tensors]
    const parts = stack(
      matrices,
      (bytes) => this.#persistent(bytes, 'weight'),
      () => {},
    )
    for (const matrix of matrices) for (const buffer of buffersOf(matrix)) this.#memory.destroy(buffer)
    return [...parts]
  }

  parameters(specs: ReadonlyArray<{ name: string; shape: readonly [number, number] }>): ParameterSet {
    return new ParameterStorage(this.#device, this.#memory, unreachable, specs)
  }

  kvCache(capacity: number, width: number): KvCache {
    const rows = () => new PlanTensor(this.#persistent(capacity * width * 4, 'cache'), [capacity, width])
    return { capacity, keys: rows(), values: rows() }
  }

  async program(
    name: string,
    inputs: readonly InputSpec[],
    body: (ops: Ops, inputs: Readonly<Record<string, Tensor>>) => Record<string, Tensor>,
  ): Promise<Program> {
    const given = inputs.map(({ name, shape, dtype }) => {
      const bytes = shape.reduce((product, size) => product * size, 4)
      return [name, new PlanTensor(this.#persistent(bytes, 'input'), shape, dtype)] as const
    })
    const recorder = new Recorder(this.#style)
    const returned = body(planOps(recorder), Object.fromEntries(given))
    const outputs = new Map(
      Object.entries(returned).map(([key, tensor]) => [key, wholeRows(recorder, tensor)]),
    )
    const dispatches = withoutDead(recorder.dispatches, outputs)
    const { slotBytes } = transientSlots(dispatches, outputs)
    for (const bytes of slotBytes) this.#memory.create(bytes, 0, name)
    const intermediateBytes = slotBytes.reduce((sum, bytes) => sum + bytes, 0)
    return {
      run: unreachable,
      stats: {
        dispatches: dispatches.length,
        intermediateBytes,
        replays: 0,
        flops: dispatches.reduce((sum, { flops }) => sum + flops, 0),
        encodeMs: 0,
        submitMs: 0,
      },
      dispose: () => {},
    }
  }

  free(): void {}

  memory(): EngineMemory {
    return { tensors: 0, buffers: this.#memory.buffers, bytes: this.#memory.bytes }
  }

  tfjsOps = () => 0

  finish = async () => {}

  dispose = async () => {}
}

const unreachable = (): never => {
  throw new TypeError('a sizing engine runs nothing')
}
