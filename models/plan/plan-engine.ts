/**
 * The WebGPU engine: programs are recorded once and replayed, base weights and parameters live in its own
 * buffers, and tfjs takes no part.
 */
import type { DeviceRoom, Engine, EngineMemory, HalfUse, InputSpec } from '../backend/engine.ts'
import { DeviceError } from '../errors.ts'
import { checkPacked, type PackedType, splitBlocks } from '../formats/gguf-packed.ts'
import type { KvCache, Ops, ParameterSet, Tensor } from '../ops/ops.ts'
import { wholeRows } from './columns.ts'
import { DeviceMemory } from './device-memory.ts'
import { asMatrix, PackedTensor } from './packed-tensor.ts'
import { ParameterStorage } from './parameters.ts'
import { Pipelines } from './pipelines.ts'
import { planOps } from './plan-ops.ts'
import { type PlanHost, PlanProgram } from './plan-program.ts'
import { PlanTensor } from './plan-tensor.ts'
import { type KernelStyle, Recorder } from './recorder.ts'
import { buffersOf, stack, stackable } from './stack.ts'
import type { KernelChooser } from './tuner.ts'

export interface PlanEngineOptions {
  readonly device: GPUDevice
  /** The adapter in words. */
  readonly description: string
  /** WebGPU on the CPU (SwiftShader, lavapipe). */
  readonly software: boolean
  /** Default: 'direct' on software adapters, 'workgroup' on GPUs. */
  readonly style?: KernelStyle
  /** False leaves subgroup operations alone on a device that has them. */
  readonly subgroups?: boolean
  /** False keeps generation's keys and values in float32 on a device that has float16. */
  readonly halfCache?: boolean
  /** False keeps products' tiles in float32 where a tuner might find float16 quicker. */
  readonly halfTiles?: boolean
  /** Chooses between variants of kernels; without one, each has the first, which repeats on every device. */
  readonly tuner?: KernelChooser
}

export function createPlanEngine(options: PlanEngineOptions): PlanEngine {
  return new PlanEngine(options)
}

export class PlanEngine implements Engine {
  readonly backend = 'webgpu'
  readonly executor = 'plan'
  readonly device: string
  readonly software: boolean
  readonly style: KernelStyle
  /** Keys and values of generation are kept in float16, where the device has it. */
  readonly halfCache: boolean
  /** Products' tiles may be in float16: the tuner says where. */
  readonly halfTiles: boolean
  /** As `Recorder.subgroupLanes`. */
  readonly subgroupLanes: number
  readonly lost: Promise<string>
  private readonly gpu: GPUDevice
  private readonly deviceMemory: DeviceMemory
  private readonly host: PlanHost
  private readonly constants = new Set<PlanTensor | PackedTensor>()
  /** How many parts of a stack are left in a buffer. */
  private readonly sharers = new WeakMap<GPUBuffer, number>()
  private fault: DeviceError | null = null
  private disposed = false
  private dispatchCount = 0

  constructor(options: PlanEngineOptions) {
    this.gpu = options.device
    this.device = options.description
    this.software = options.software
    this.style = options.style ?? (options.software ? 'direct' : 'workgroup')
    this.subgroupLanes = options.subgroups === false ? 0 : sharedLanes(this.gpu)
    const halves = this.gpu.features.has('shader-f16')
    this.halfCache = halves && options.halfCache !== false
    this.halfTiles = halves && options.halfTiles !== false && options.tuner !== undefined
    this.deviceMemory = new DeviceMemory(this.gpu)
    this.host = {
      device: this.gpu,
      memory: this.deviceMemory,
      pipelines: new Pipelines(this.gpu),
      ...(options.tuner && { tuner: options.tuner }),
      check: () => this.check(),
      replayed: (dispatches) => {
        this.dispatchCount += dispatches
      },
    }
    this.lost = this.gpu.lost.then(({ reason, message }) => {
      const sentence =
        reason === 'destroyed'
          ? 'The graphics device was closed.'
          : `The graphics device was lost (${message || 'the browser gave no reason'}); training can resume from the last checkpoint.`
      this.fault ??= new DeviceError('device/lost', sentence)
      return sentence
    })
    // Without this a buffer over the device's limit reads zeros, and no one is told.
    this.gpu.addEventListener('uncapturederror', (event) => {
      this.fault ??= new DeviceError(
        'device/fault',
        `The graphics device reported a fault (${event.error.message}); reload, or choose another backend.`,
      )
    })
  }

  /** Dispatches replayed since the engine was made: what tests look at to know that the plan did the work. */
  get dispatches(): number {
    return this.dispatchCount
  }

  get float16(): readonly HalfUse[] {
    return [...(this.halfCache ? (['cache'] as const) : []), ...(this.halfTiles ? (['tiles'] as const) : [])]
  }

  get room(): DeviceRoom {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.gpu.limits
    return { largestBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize), totalBytes: null }
  }

  constant(values: Float32Array | Int32Array, shape: readonly number[]): Tensor {
    const tensor = new PlanTensor(
      this.persistent(values.byteLength, 'constant'),
      shape,
      values instanceof Int32Array ? 'int32' : 'float32',
    )
    if (tensor.elements !== values.length) throw new RangeError(`[${shape}] is not ${values.length} numbers`)
    this.gpu.queue.writeBuffer(bufferOf(tensor), 0, values as Float32Array<ArrayBuffer>)
    this.constants.add(tensor)
    return tensor
  }

  packed(type: PackedType, blocks: Uint8Array, shape: readonly [number, number]): Tensor {
    checkPacked(type, blocks, shape)
    const { codes, scales } = splitBlocks(type, blocks)
    const place = (words: Uint32Array<ArrayBuffer>) => {
      const storage = this.persistent(words.byteLength, 'packed')
      this.gpu.queue.writeBuffer(storage.buffer, 0, words)
      return new PlanTensor(storage, [words.length], 'int32')
    }
    const tensor = new PackedTensor(type, shape, place(codes), scales.length > 0 ? place(scales) : undefined)
    this.constants.add(tensor)
    return tensor
  }

  stack(tensors: readonly Tensor[]): Tensor[] {
    const matrices = tensors.map(asMatrix)
    if (!stackable(matrices)) return [...tensors]
    const encoder = this.gpu.createCommandEncoder()
    const parts = stack(
      matrices,
      (bytes) => this.persistent(bytes, 'stack'),
      (from, to) =>
        encoder.copyBufferToBuffer(
          bufferOf(from),
          from.offsetBytes,
          bufferOf(to),
          to.offsetBytes,
          from.bytes,
        ),
    )
    this.gpu.queue.submit([encoder.finish()])
    for (const matrix of matrices) this.free(matrix)
    for (const part of parts) {
      this.constants.add(part)
      for (const buffer of buffersOf(part)) this.sharers.set(buffer, (this.sharers.get(buffer) ?? 0) + 1)
    }
    return [...parts]
  }

  parameters(specs: ReadonlyArray<{ name: string; shape: readonly [number, number] }>): ParameterSet {
    return new ParameterStorage(
      this.gpu,
      this.deviceMemory,
      (buffer, bytes) => this.readBuffer(buffer, bytes),
      specs,
    )
  }

  kvCache(capacity: number, width: number): KvCache {
    const rows = () => {
      const [type, bytes] = this.halfCache ? (['float16', 2] as const) : (['float32', 4] as const)
      const storage = this.persistent(capacity * width * bytes, 'kvCache')
      const tensor = new PlanTensor(storage, [capacity, width], type)
      this.constants.add(tensor)
      return tensor
    }
    return { capacity, keys: rows(), values: rows() }
  }

  async program(
    name: string,
    inputs: readonly InputSpec[],
    body: (ops: Ops, inputs: Readonly<Record<string, Tensor>>) => Record<string, Tensor>,
  ): Promise<PlanProgram> {
    this.check()
    const placed = inputs.map((spec) => {
      const bytes = spec.shape.reduce((product, size) => product * size, 4)
      return {
        ...spec,
        tensor: new PlanTensor(this.persistent(bytes, `${name}.${spec.name}`), spec.shape, spec.dtype),
      }
    })
    try {
      const recorder = new Recorder(this.style, this.subgroupLanes, this.halfTiles)
      const outputs = body(
        planOps(recorder),
        Object.fromEntries(placed.map((input) => [input.name, input.tensor])),
      )
      return await PlanProgram.create(
        this.host,
        name,
        placed,
        new Map(Object.entries(outputs).map(([key, tensor]) => [key, wholeRows(recorder, tensor)])),
        recorder,
      )
    } catch (error) {
      for (const { tensor } of placed) this.deviceMemory.destroy(bufferOf(tensor))
      throw error
    }
  }

  free(given: Tensor | KvCache): void {
    for (const tensor of 'keys' in given ? [given.keys, given.values] : [given]) {
      const owned = asMatrix(tensor)
      if (!this.constants.delete(owned)) continue
      for (const buffer of buffersOf(owned)) {
        const others = (this.sharers.get(buffer) ?? 1) - 1
        this.sharers.set(buffer, others)
        if (others === 0) this.deviceMemory.destroy(buffer)
      }
    }
  }

  memory(): EngineMemory {
    return {
      tensors: this.constants.size,
      buffers: this.deviceMemory.buffers,
      bytes: this.deviceMemory.bytes,
    }
  }

  tfjsOps(): number {
    return 0
  }

  async finish(): Promise<void> {
    await this.gpu.queue.onSubmittedWorkDone()
    this.check()
  }

  async dispose(): Promise<void> {
    if (this.disposed) return
    this.disposed = true
    this.deviceMemory.destroyAll()
    this.gpu.destroy()
    await this.gpu.lost
  }

  private check(): void {
    if (this.fault) throw this.fault
  }

  private persistent(bytes: number, label: string) {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC
    return { kind: 'persistent', buffer: this.deviceMemory.create(bytes, usage, label) } as const
  }

  private async readBuffer(buffer: GPUBuffer, bytes: number): Promise<Float32Array> {
    this.check()
    const staging = this.deviceMemory.create(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, 'read')
    try {
      const encoder = this.gpu.createCommandEncoder()
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes)
      this.gpu.queue.submit([encoder.finish()])
      await staging.mapAsync(GPUMapMode.READ)
      const values = new Float32Array(staging.getMappedRange(0, bytes).slice(0))
      staging.unmap()
      return values
    } finally {
      this.deviceMemory.destroy(staging)
    }
  }
}

/** 8 or 4 invocations that every subgroup of the device has; 0 where there are no subgroups. */
function sharedLanes({ features, adapterInfo }: GPUDevice): 0 | 4 | 8 {
  if (!features.has('subgroups')) return 0
  const smallest = adapterInfo?.subgroupMinSize ?? 0
  return smallest >= 8 ? 8 : smallest >= 4 ? 4 : 0
}

function bufferOf(tensor: PlanTensor): GPUBuffer {
  if (tensor.storage.kind !== 'persistent') throw new TypeError('a transient tensor has no buffer of its own')
  return tensor.storage.buffer
}
