/**
 * What a device can do for a model, whichever executor stands behind it: hold constants and parameters, and
 * run programs. A program is a fixed sequence of ops over fixed shapes, described once; the eager engine runs
 * the description each time, the plan engine records it once and replays it.
 */
import type { PackedType } from '../formats/gguf-packed.ts'
import type { DType, KvCache, Ops, ParameterSet, Tensor } from '../ops/ops.ts'

export type BackendName = 'webgpu' | 'wasm' | 'webgl' | 'cpu'
export type ExecutorName = 'plan' | 'eager'

/**
 * What may be in float16: generation's keys and values; the tiles of products, where a tuner found that quicker. Everything
 * else, and every sum, is float32.
 */
export type HalfUse = 'cache' | 'tiles'

export interface InputSpec {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: DType
}

export type ProgramInputs = Readonly<Record<string, Float32Array | Int32Array>>

export interface Program {
  /**
   * Runs once. Only the outputs named in `read` come back (each a wait for the device); the others stay.
   * Calls run in order; a second call may be made before the first has resolved.
   */
  run(inputs: ProgramInputs, read?: readonly string[]): Promise<Record<string, Float32Array>>
  readonly stats: ProgramStats
  dispose(): void
}

export interface ProgramStats {
  /** Device dispatches in one replay; 0 on the eager executor. */
  readonly dispatches: number
  /** Bytes of intermediate buffers this program owns, known before it runs; 0 on the eager executor. */
  readonly intermediateBytes: number
  /** Replays so far. */
  readonly replays: number
  /** Floating-point operations in one replay; 0 on the eager executor, as the rest. */
  readonly flops: number
  /** The host's time over all replays so far: writing inputs and encoding, and submitting. */
  readonly encodeMs: number
  readonly submitMs: number
}

export interface EngineMemory {
  readonly tensors: number
  readonly buffers: number
  readonly bytes: number
}

/** What a device has room for. */
export interface DeviceRoom {
  /** In one piece: a weight matrix, or an intermediate tensor. */
  readonly largestBytes: number
  /** Altogether; null where the device does not say, as graphics cards do not. */
  readonly totalBytes: number | null
}

export interface Engine {
  readonly backend: BackendName
  readonly executor: ExecutorName
  /** The device in words, e.g. "Apple M2 (WebGPU)" or "this computer's processor (wasm, 2 threads)". */
  readonly device: string
  /** True where WebGPU runs on the CPU: right for correctness, wrong for speed. */
  readonly software: boolean
  /** Empty where every number is float32. */
  readonly float16: readonly HalfUse[]
  readonly room: DeviceRoom
  constant(values: Float32Array | Int32Array, shape: readonly number[]): Tensor
  /**
   * A frozen float32 matrix [out, in] from its blocks in a GGUF file, rows one after another: a linear layer's
   * weight or an embedding, no other op's operand. The plan engine keeps it packed; the eager engine unpacks it.
   */
  packed(type: PackedType, blocks: Uint8Array, shape: readonly [number, number]): Tensor
  /**
   * Frozen matrices (or biases) that read the same input, in a form that lets one kernel multiply them together; the
   * same tensors where the engine gains nothing or they do not go together. What is given may not be used afterwards.
   */
  stack(tensors: readonly Tensor[]): Tensor[]
  parameters(specs: ReadonlyArray<{ name: string; shape: readonly [number, number] }>): ParameterSet
  kvCache(capacity: number, width: number): KvCache
  program(
    name: string,
    inputs: readonly InputSpec[],
    body: (ops: Ops, inputs: Readonly<Record<string, Tensor>>) => Record<string, Tensor>,
  ): Promise<Program>
  /** Frees a constant or a cache. */
  free(tensor: Tensor | KvCache): void
  memory(): EngineMemory
  /** Ops dispatched through tfjs since the engine was made: 0 on the plan executor. */
  tfjsOps(): number
  /** Resolves with one sentence when the device is gone; never rejects. */
  readonly lost: Promise<string>
  /** Waits until everything submitted has run. */
  finish(): Promise<void>
  dispose(): Promise<void>
}
