/**
 * Writes down what a program does: a list of dispatches over tensors, nothing run. Ops' `plan.ts` files call
 * `dispatch`; the plan turns the list into pipelines, bind groups and buffers once.
 */
import type { DType, StorageType } from '../ops/ops.ts'
import { PlanTensor, type Storage } from './plan-tensor.ts'

/** How the hot kernels are written; see `models/ops/linear/matmul.wgsl.ts`. */
export type KernelStyle =
  /** Register tiles, no workgroup memory: what suits a CPU that plays GPU. */
  | 'direct'
  /** Workgroup memory and barriers: what suits a GPU. */
  | 'workgroup'

/** A tensor of a dispatch, optionally seen as vectors of 2 or 4 numbers, or as the bits of its numbers. */
export type Binding =
  | PlanTensor
  | { readonly tensor: PlanTensor; readonly vector: 1 | 2 | 4; readonly scalar?: 'u32' }

export interface DispatchRequest {
  readonly name: string
  /** Read only. */
  readonly reads: Readonly<Record<string, Binding>>
  /** Read and written in place. */
  readonly updates?: Readonly<Record<string, Binding>>
  /** Written without being read first. */
  readonly writes: Readonly<Record<string, Binding>>
  /** WGSL after the bindings, which are declared from the names above: helpers and `fn main`. */
  readonly body: string
  readonly workgroups: readonly [number, number, number]
  /** Floating-point operations, for pacing submits and for benches. */
  readonly flops: number
  /** The body uses subgroup operations: only where `Recorder.subgroupLanes` is above 0. */
  readonly subgroups?: boolean
  /** The body uses float16 in what is its own: only where `Recorder.halfTiles`. Bindings tell by themselves. */
  readonly halves?: boolean
}

export interface Dispatch {
  readonly name: string
  readonly scope: string
  readonly code: string
  /** 'r' or 'w' for each binding in order. */
  readonly access: string
  readonly tensors: readonly PlanTensor[]
  readonly workgroups: readonly [number, number, number]
  readonly flops: number
  readonly tuning?: Tuning
}

/** Other ways to do what a dispatch does, over the same tensors. */
export interface Tuning {
  /** Dispatches with the same key cost the same. */
  readonly key: string
  /** Made only where a tuner asks. */
  readonly others: readonly (() => Dispatch)[]
}

/** How normed rows come from x [rows, width]: x / sqrt(mean(x²) + eps) * weight. */
export interface RowNorm {
  readonly x: PlanTensor
  readonly weight: PlanTensor
  readonly eps: number
}

export class Recorder {
  readonly dispatches: Dispatch[] = []
  readonly style: KernelStyle
  /** No subgroup of the device has fewer invocations: 8, 4, or 0 where it has no subgroups. */
  readonly subgroupLanes: number
  /** Products may stage what they read in float16. */
  readonly halfTiles: boolean
  private readonly scopes: string[] = []
  private readonly memo = new Map<PlanTensor, Map<unknown, PlanTensor>>()
  private readonly norms = new Map<Storage, { readonly y: PlanTensor; readonly norm: RowNorm }>()
  private transients = 0

  constructor(style: KernelStyle, subgroupLanes = 0, halfTiles = false) {
    this.style = style
    this.subgroupLanes = subgroupLanes
    this.halfTiles = halfTiles
  }

  /** New transient memory, laid out when the recording ends. */
  tensor(shape: readonly number[], dtype: DType = 'float32'): PlanTensor {
    const elements = shape.reduce((product, size) => product * size, 1)
    return new PlanTensor({ kind: 'transient', id: this.transients++, bytes: elements * 4 }, shape, dtype)
  }

  /** @param alternatives bind the same tensors in the same order, and write none that they or others update */
  dispatch(
    request: DispatchRequest,
    alternatives?: { readonly key: string; readonly others: readonly (() => DispatchRequest)[] },
  ): void {
    const scope = this.scopes.join('/')
    this.forgetNorms(request)
    this.dispatches.push({
      ...written(request, scope),
      ...(alternatives &&
        alternatives.others.length > 0 && {
          tuning: {
            key: alternatives.key,
            others: alternatives.others.map((make) => () => written(make(), scope)),
          },
        }),
    })
  }

  /**
   * What was already computed from `tensor` under `key`, or the result of `make`: a recomputed block's low-rank
   * products serve its backward too. Tensors are written once, so this is safe until parameters change.
   */
  once(tensor: PlanTensor, key: unknown, make: () => PlanTensor): PlanTensor {
    let known = this.memo.get(tensor)
    if (!known) {
      known = new Map()
      this.memo.set(tensor, known)
    }
    let result = known.get(key)
    if (!result) {
      result = make()
      known.set(key, result)
    }
    return result
  }

  /** Says that y is x's rows normed: a product of few rows may do that itself, and y need not be made. */
  normed(y: PlanTensor, norm: RowNorm): void {
    this.norms.set(y.storage, { y, norm })
  }

  /**
   * How `tensor` comes from what it was normed of; undefined once a kernel reads it, for which it is made anyway, or writes
   * over what it was normed of.
   */
  normOf(tensor: PlanTensor): RowNorm | undefined {
    const found = this.norms.get(tensor.storage)
    return found?.y === tensor ? found.norm : undefined
  }

  private forgetNorms({ reads, updates = {}, writes }: DispatchRequest): void {
    for (const binding of Object.values({ ...reads, ...updates }))
      this.norms.delete(tensorOf(binding).storage)
    const written = new Set(
      Object.values({ ...updates, ...writes }).map((binding) => tensorOf(binding).storage),
    )
    for (const [storage, { norm }] of this.norms) if (written.has(norm.x.storage)) this.norms.delete(storage)
  }

  /** Parameters change here: nothing computed from them before holds after. */
  forget(): void {
    this.memo.clear()
  }

  scope<T>(name: string, body: () => T): T {
    this.scopes.push(name)
    try {
      return body()
    } finally {
      this.scopes.pop()
    }
  }
}

const tensorOf = (binding: Binding) => (binding instanceof PlanTensor ? binding : binding.tensor)

const SCALARS: Readonly<Record<StorageType, string>> = { float32: 'f32', int32: 'i32', float16: 'f16' }

/** The whole shader, and what is bound to it in order. */
function written(request: DispatchRequest, scope: string): Dispatch {
  for (const count of request.workgroups) {
    if (!Number.isInteger(count) || count < 1 || count > MAX_WORKGROUPS) {
      throw new RangeError(`${request.name}: ${request.workgroups} workgroups`)
    }
  }
  const declarations: string[] = []
  const tensors: PlanTensor[] = []
  let access = ''
  let halves = request.halves ?? false
  const declare = (group: Readonly<Record<string, Binding>>, writable: boolean) => {
    for (const [name, binding] of Object.entries(group)) {
      const bound = binding instanceof PlanTensor ? { tensor: binding, vector: 1 as const } : binding
      const { tensor, vector } = bound
      const scalar = ('scalar' in bound && bound.scalar) || SCALARS[tensor.dtype]
      const element = vector === 1 ? scalar : `vec${vector}<${scalar}>`
      declarations.push(
        `@group(0) @binding(${tensors.length}) var<storage, ${writable ? 'read_write' : 'read'}> ${name}: array<${element}>;`,
      )
      tensors.push(tensor)
      halves ||= scalar === 'f16'
      access += writable ? 'w' : 'r'
    }
  }
  declare(request.reads, false)
  declare(request.updates ?? {}, true)
  declare(request.writes, true)
  return {
    name: request.name,
    scope,
    code: `${halves ? 'enable f16;\n' : ''}${request.subgroups ? 'enable subgroups;\n' : ''}${declarations.join('\n')}\n${request.body}`,
    access,
    tensors,
    workgroups: request.workgroups,
    flops: request.flops,
  }
}

/** maxComputeWorkgroupsPerDimension's default. */
export const MAX_WORKGROUPS = 65_535

/**
 * Workgroups for `count` in a line, folded into two dimensions where one is not enough; the kernel's line index
 * is then `workgroup.x + workgroup.y * workgroupsX`, as `LINE_INDEX` writes it.
 */
export function lineOfWorkgroups(count: number): readonly [number, number, number] {
  if (count <= MAX_WORKGROUPS) return [count, 1, 1]
  const y = Math.ceil(count / MAX_WORKGROUPS)
  return [Math.ceil(count / y), y, 1]
}

export const LINE_SIZE = 64

/** `fn main` over `count` invocations in a line; `i` is the index, invocations past the end return. */
export function lineKernel(
  count: number,
  body: string,
): { body: string; workgroups: readonly [number, number, number] } {
  const workgroups = lineOfWorkgroups(Math.ceil(count / LINE_SIZE))
  return {
    workgroups,
    body: `@compute @workgroup_size(${LINE_SIZE})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = (workgroup.x + workgroup.y * ${workgroups[0]}u) * ${LINE_SIZE}u + local;
  if (i >= ${count}u) { return; }
${body}
}`,
  }
}
