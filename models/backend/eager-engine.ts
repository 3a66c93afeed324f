/**
 * An `Engine` that runs every op at once as tfjs ops: the reference, and what runs on wasm, WebGL and CPU (and
 * on tfjs-webgpu for comparison). A "program" here is only the description, gone through again at each run.
 *
 * tfjs keeps one current backend for the whole JavaScript realm, so each entry point makes its own backend
 * current first; a program's body is synchronous, so nothing can come between.
 */
import * as tf from '@tensorflow/tfjs-core'
import { DeviceError, ModelsError } from '../errors.ts'
import { dequantise } from '../formats/gguf-dequantise.ts'
import { checkPacked, type PackedType } from '../formats/gguf-packed.ts'
import { EagerContext, native, type PackingBackend, wrap } from '../ops/eager-context.ts'
import { EagerKvCache } from '../ops/eager-kv-cache.ts'
import { eagerOps } from '../ops/eager-ops.ts'
import { EagerParameterSet } from '../ops/eager-parameters.ts'
import type { KvCache, Ops, ParameterSet, Tensor } from '../ops/ops.ts'
import type {
  BackendName,
  DeviceRoom,
  Engine,
  EngineMemory,
  InputSpec,
  Program,
  ProgramInputs,
  ProgramStats,
} from './engine.ts'
import { nextTask } from './next-task.ts'
import { countKernels } from './tfjs-kernel-count.ts'

export interface EagerEngineInfo {
  readonly backend: BackendName
  /** The device in words. */
  readonly device: string
  readonly software: boolean
  readonly lost: Promise<string>
  /** Where products pack their right-hand matrix. */
  readonly packing?: PackingBackend
  /** Releases what was opened for this engine alone, such as a GPUDevice. */
  readonly close?: () => Promise<void> | void
}

/** The tfjs backend `info.backend` must have been created already. */
export function createEagerEngine(info: EagerEngineInfo): Engine {
  return new EagerEngine(info)
}

/** tfjs counts a tensor's bytes in 32 signed bits. */
const LARGEST_BYTES = 2 ** 31 - 1

/** What WebAssembly can address, and tfjs's modules declare as their most: 65,536 pages of 64 KiB. */
const WASM_BYTES = 2 ** 32

class EagerEngine implements Engine {
  readonly backend: BackendName
  readonly executor = 'eager'
  readonly float16 = []
  readonly device: string
  readonly software: boolean
  readonly room: DeviceRoom
  readonly lost: Promise<string>
  private readonly context: EagerContext
  private readonly ops: Ops
  private readonly kernels: () => number
  private readonly kernelsBefore: number
  private readonly close: (() => Promise<void> | void) | undefined
  private lossReason: string | null = null

  constructor(info: EagerEngineInfo) {
    this.backend = info.backend
    this.device = info.device
    this.software = info.software
    this.room = { largestBytes: LARGEST_BYTES, totalBytes: info.backend === 'wasm' ? WASM_BYTES : null }
    this.lost = info.lost
    this.close = info.close
    this.context = new EagerContext(info.packing ?? null)
    this.ops = eagerOps(this.context)
    this.kernels = countKernels(info.backend)
    this.kernelsBefore = this.kernels()
    this.activate()
    void info.lost.then((reason) => {
      this.lossReason = reason
    })
  }

  constant(values: Float32Array | Int32Array, shape: readonly number[]): Tensor {
    this.activate()
    const dtype = values instanceof Int32Array ? 'int32' : 'float32'
    return wrap(tf.keep(tf.tensor(values, [...shape], dtype)))
  }

  packed(type: PackedType, blocks: Uint8Array, shape: readonly [number, number]): Tensor {
    checkPacked(type, blocks, shape)
    return this.constant(dequantise(type, blocks), shape)
  }

  /** XNNPACK multiplies by each as well as by all at once. */
  stack(tensors: readonly Tensor[]): Tensor[] {
    return [...tensors]
  }

  parameters(specs: ReadonlyArray<{ name: string; shape: readonly [number, number] }>): ParameterSet {
    return new EagerParameterSet(specs, () => this.activate())
  }

  kvCache(capacity: number, width: number): KvCache {
    this.activate()
    return new EagerKvCache(capacity, width)
  }

  async program(
    name: string,
    inputs: readonly InputSpec[],
    body: (ops: Ops, inputs: Readonly<Record<string, Tensor>>) => Record<string, Tensor>,
  ): Promise<Program> {
    return new EagerProgram(name, inputs, (values, read) => this.execute(name, values, body, read))
  }

  free(tensor: Tensor | KvCache): void {
    if (tensor instanceof EagerKvCache) {
      tensor.dispose()
      return
    }
    const constant = native(tensor as Tensor)
    this.context.forget(constant)
    constant.dispose()
  }

  /** tfjs counts over every backend and engine of this realm: compare two readings, not one with zero. */
  memory(): EngineMemory {
    const { numTensors, numDataBuffers, numBytes } = tf.memory()
    return { tensors: numTensors, buffers: numDataBuffers, bytes: numBytes }
  }

  tfjsOps(): number {
    return this.kernels() - this.kernelsBefore
  }

  async finish(): Promise<void> {
    this.activate()
    // Reading back what the device computes last submits what tfjs still holds and waits for all of it; the CPU backends
    // have nothing pending. Of the ops that take next to nothing, this is one that tfjs never forwards to the CPU.
    const probe = tf.fill([1], 1)
    await probe.data()
    probe.dispose()
  }

  async dispose(): Promise<void> {
    this.context.dispose()
    await this.close?.()
  }

  private activate(): void {
    if (this.lossReason !== null) throw new DeviceError('device/lost', this.lossReason)
    // A created backend becomes current before setBackend returns; a failure shows in the line after.
    if (tf.getBackend() !== this.backend) tf.setBackend(this.backend).catch(() => {})
    if (tf.getBackend() !== this.backend) {
      throw new DeviceError(
        'device/backend',
        `tfjs runs on ${tf.getBackend()}, but ${this.backend} was asked for.`,
      )
    }
  }

  private async execute(
    name: string,
    inputs: ReadonlyArray<readonly [InputSpec, Float32Array | Int32Array]>,
    body: (ops: Ops, inputs: Readonly<Record<string, Tensor>>) => Record<string, Tensor>,
    read: readonly string[],
  ): Promise<Record<string, Float32Array>> {
    this.activate()
    let outputs: Record<string, Tensor>
    try {
      outputs = tf.tidy(name, () => {
        const tensors: Record<string, Tensor> = {}
        for (const [spec, values] of inputs) {
          // A copy: the CPU backend would otherwise go on reading the caller's array.
          tensors[spec.name] = wrap(tf.tensor(values.slice(), [...spec.shape], spec.dtype))
        }
        const made = body(this.ops, tensors)
        return Object.fromEntries(
          read.map((output) => {
            if (!made[output])
              throw new ModelsError('program/no-output', `The program ${name} has no output ${output}.`)
            return [output, made[output]]
          }),
        ) as tf.TensorContainer
      }) as unknown as Record<string, Tensor>
    } finally {
      this.context.endRun()
    }
    const results: Record<string, Float32Array> = {}
    try {
      for (const output of read) results[output] = Float32Array.from(await native(outputs[output]).data())
    } finally {
      tf.dispose(Object.values(outputs) as tf.Tensor[])
    }
    // The CPU backends hold the thread while they compute: let messages and timers have their turn.
    await nextTask()
    return results
  }
}

type Execute = (
  inputs: ReadonlyArray<readonly [InputSpec, Float32Array | Int32Array]>,
  read: readonly string[],
) => Promise<Record<string, Float32Array>>

class EagerProgram implements Program {
  private readonly name: string
  private readonly specs: readonly InputSpec[]
  private readonly execute: Execute
  private replays = 0
  private disposed = false

  constructor(name: string, specs: readonly InputSpec[], execute: Execute) {
    this.name = name
    this.specs = specs
    this.execute = execute
  }

  get stats(): ProgramStats {
    return {
      dispatches: 0,
      intermediateBytes: 0,
      replays: this.replays,
      flops: 0,
      encodeMs: 0,
      submitMs: 0,
    }
  }

  async run(inputs: ProgramInputs, read: readonly string[] = []): Promise<Record<string, Float32Array>> {
    if (this.disposed)
      throw new ModelsError('program/disposed', `The program ${this.name} runs after it was freed.`)
    const values = this.specs.map((spec) => [spec, checkInput(this.name, spec, inputs[spec.name])] as const)
    this.replays++
    return this.execute(values, read)
  }

  dispose(): void {
    this.disposed = true
  }
}

function checkInput(
  program: string,
  spec: InputSpec,
  values: Float32Array | Int32Array | undefined,
): Float32Array | Int32Array {
  const length = spec.shape.reduce((product, side) => product * side, 1)
  if (!values)
    throw new ModelsError('program/input', `The program ${program} was given no input ${spec.name}.`)
  const dtype = values instanceof Int32Array ? 'int32' : 'float32'
  if (dtype !== spec.dtype || values.length !== length) {
    throw new ModelsError(
      'program/input',
      `The program ${program} takes ${length} x ${spec.dtype} as ${spec.name}, but got ${values.length} x ${dtype}.`,
    )
  }
  return values
}
