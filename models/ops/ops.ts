/**
 * The one vocabulary that model code is written in. A family (Llama, a diffusion transformer) describes its
 * forward and its hand-written backward once, against `Ops`; two executors run the description:
 *
 * - eager (each op's `eager.ts`): plain tfjs on cpu, wasm, webgl; the reference;
 * - plan (each op's `plan.ts`): WGSL, recorded once a shape and replayed.
 *
 * Tensors are row-major. Activations are [rows, width] with rows = batch * tokens. Frozen weights are
 * [out, in] as in Hugging Face. Ops return new tensors and never write their inputs, except where a
 * `Parameter`, a `KvCache` or a `State` is named: those are the memory of a program.
 */

export type DType = 'float32' | 'int32'

/** What an executor may keep its own memory in: float16 is read as float32, and never an input or a result. */
export type StorageType = DType | 'float16'

/** A value inside one program, or a constant that outlives it. Only the executor that made it can read it. */
export interface Tensor {
  readonly shape: readonly number[]
  readonly dtype: StorageType
}

/** A trainable matrix. Its gradient slot and its optimiser moments belong to the executor. */
export interface Parameter {
  readonly name: string
  readonly shape: readonly [number, number]
  readonly value: Tensor
}

/** A matrix of a low-rank path that is not trained: no gradient, no moments. */
export interface FrozenFactor {
  readonly frozen: true
  readonly shape: readonly [number, number]
  readonly value: Tensor
}

/** A matrix of a low-rank path; which of them are parameters is the adapter's training form. */
export type Factor = Parameter | FrozenFactor

export const isTrained = (factor: Factor): factor is Parameter => !('frozen' in factor)

/** The low-rank path of one linear layer: y += scale · (x Aᵀ) Bᵀ, or scale · ((x Aᵀ) Rᵀ) Bᵀ with a core R. */
export interface LoraPath {
  readonly a: Factor // [rank, in]
  readonly b: Factor // [out, rank]
  readonly r?: Factor // [rank, rank]
  readonly scale: number
}

export interface Linear {
  readonly weight: Tensor // [out, in], frozen
  readonly bias?: Tensor // [out], frozen
  readonly lora?: LoraPath
}

export interface AttentionShape {
  readonly batch: number
  readonly tokens: number
  readonly heads: number
  /** Divides heads: query heads h uses key/value head floor(h / (heads / kvHeads)). */
  readonly kvHeads: number
  readonly headDim: number
  readonly causal: boolean
}

/** Rows of keys and values written so far, [capacity, kvHeads * headDim] each; a program's memory. */
export interface KvCache {
  readonly capacity: number
  readonly keys: Tensor
  readonly values: Tensor
}

export interface LinearOp {
  /**
   * x [rows, in] -> x Wᵀ + bias + scale (x Aᵀ) [Rᵀ] Bᵀ (+ residual) [rows, out].
   */
  forward(x: Tensor, layer: Linear, options?: { residual?: Tensor }): Tensor
  /** `forward` of each of a few layers that read the same x, so that the executor may share what they have in common. */
  forwardEach(x: Tensor, layers: readonly Linear[]): Tensor[]
  /**
   * dy [rows, out], x [rows, in] -> dx [rows, in] = dy W + scale (dy B) [R] A (+ addTo), and writes the gradients
   * of those of A, B and R that are trained into their slots: with v = x Aᵀ [Rᵀ] and g = scale dy B,
   * dA = (g [R])ᵀ x, dB = scale dyᵀ v, dR = gᵀ (x Aᵀ). Without `needInput` no dx is made and null is returned.
   */
  backward(dy: Tensor, x: Tensor, layer: Linear, options?: { addTo?: Tensor; needInput?: true }): Tensor
  backward(dy: Tensor, x: Tensor, layer: Linear, options: { needInput: false }): null
  /**
   * `backward` of each of a few layers that read the same x: dx [rows, in] is the sum over them (+ addTo), dys[i]
   * [rows, out of layer i].
   */
  backwardEach(
    dys: readonly Tensor[],
    x: Tensor,
    layers: readonly Linear[],
    options?: { addTo?: Tensor; needInput?: true },
  ): Tensor
  backwardEach(
    dys: readonly Tensor[],
    x: Tensor,
    layers: readonly Linear[],
    options: { needInput: false },
  ): null
}

export interface RmsNormOp {
  /**
   * x [rows, width], weight [width] -> x / sqrt(mean(x²) + eps) * weight. Where x is [rows, groups * width], each
   * group is normed by itself: a model that norms every head of q and k.
   */
  forward(x: Tensor, weight: Tensor, eps: number): Tensor
  /** Needs only x: the row's scale is cheaper to recompute than to keep. `addTo` is the residual's gradient. */
  backward(dy: Tensor, x: Tensor, weight: Tensor, eps: number, options?: { addTo?: Tensor }): Tensor
}

export interface RotaryOp {
  /**
   * Rotates each head's halves, as Hugging Face does: (a, b) -> (a cos - b sin, b cos + a sin), a the first
   * half of the head and b the second. x [rows, heads * headDim]; table [positions, headDim] holds headDim/2
   * cosines, then headDim/2 sines; positions [rows] int32.
   */
  forward(x: Tensor, table: Tensor, positions: Tensor, headDim: number): Tensor
  /** The inverse rotation. */
  backward(dy: Tensor, table: Tensor, positions: Tensor, headDim: number): Tensor
  /**
   * `forward` or `backward` of two tensors (queries and keys) with the same rows at once. What is turned back is used up:
   * an executor may turn it in place.
   */
  both(
    direction: 'forward' | 'backward',
    pair: readonly [Tensor, Tensor],
    table: Tensor,
    positions: Tensor,
    headDim: number,
  ): [Tensor, Tensor]
}

export interface AttentionOp {
  /**
   * softmax(q kᵀ / sqrt(headDim)) v by head; q [batch * tokens, heads * headDim], k and v
   * [batch * tokens, kvHeads * headDim]. `logSumExp` [batch * tokens, heads] is what backward needs instead of
   * the [tokens, tokens] probabilities.
   *
   * `segments` [batch * tokens] int32, causal attention only: several short documents lie in one window of `tokens`
   * rows, and row t attends to no row of its window before segments[t], the first of its own document. Without it
   * every window is one document (all zeros).
   */
  forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shape: AttentionShape,
    segments?: Tensor,
  ): { out: Tensor; logSumExp: Tensor }
  backward(
    dOut: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    logSumExp: Tensor,
    shape: AttentionShape,
    segments?: Tensor,
  ): { dq: Tensor; dk: Tensor; dv: Tensor }
  /**
   * Generation: writes k and v [rows, kvHeads * headDim] into the cache at `positions` [rows], then lets row i
   * attend to cache rows 0..positions[i]. q [rows, heads * headDim] -> [rows, heads * headDim].
   */
  cached(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cache: KvCache,
    positions: Tensor,
    heads: number,
    headDim: number,
  ): Tensor
}

export type GateAndUp = readonly [gate: Linear, up: Linear]

export interface SwiGluOp {
  /** gate, up [rows, width] -> silu(gate) * up. */
  forward(gate: Tensor, up: Tensor): Tensor
  backward(dy: Tensor, gate: Tensor, up: Tensor): { dGate: Tensor; dUp: Tensor }
  /** `forward` of what gate and up make of x: `linear.forwardEach`, then `forward`, whose operands need not be stored. */
  ofLayers(x: Tensor, layers: GateAndUp): Tensor
  /** The same with both operands, for the backward. */
  ofLayersKept(x: Tensor, layers: GateAndUp): { gate: Tensor; up: Tensor; activated: Tensor }
  /** `backward` of the gradient that `linear.backward(dy, activated, down)` gives, which need not be stored. */
  backwardThrough(
    dy: Tensor,
    activated: Tensor,
    down: Linear,
    gate: Tensor,
    up: Tensor,
  ): { dGate: Tensor; dUp: Tensor }
}

export interface LinearCrossEntropyOp {
  /**
   * Negative log-likelihood in nats of `targets` [rows] int32 under softmax(x Wᵀ); x [rows, width],
   * weight [vocabulary, width] frozen. A row whose `rowWeights` [rows] is 0 gives 0. Returns nll [rows],
   * not multiplied by the row's weight.
   */
  forward(x: Tensor, weight: Tensor, targets: Tensor, rowWeights: Tensor): Tensor
  /** The same, and dx [rows, width] = d (sum of rowWeights * nll) / dx. */
  forwardBackward(x: Tensor, weight: Tensor, targets: Tensor, rowWeights: Tensor): { nll: Tensor; dx: Tensor }
}

/**
 * Numbers that all rows of a picture share: columns part * width..(part + 1) * width of row p belong to picture p, whose
 * rows lie one after another. values [pictures, parts * width].
 */
export interface PerPicture {
  readonly values: Tensor
  readonly part: number
}

export interface ModulatedNormOp {
  /**
   * x [pictures * tokens, width] -> norm(x) (1 + scale) + shift with norm(x) = x / sqrt(mean(x²) + eps), which has no
   * weights. The adaptive norm of Peebles & Xie 2022, https://arxiv.org/abs/2212.09748
   */
  forward(x: Tensor, shift: PerPicture, scale: PerPicture, eps: number): Tensor
  /** dx, needing only x and the scale. `addTo` is the residual's gradient. */
  backward(dy: Tensor, x: Tensor, scale: PerPicture, eps: number, options?: { addTo?: Tensor }): Tensor
  /** [pictures, width] each, summed over a picture's rows: for a model whose modulation is trained. */
  modulationGradients(
    dy: Tensor,
    x: Tensor,
    pictures: number,
    eps: number,
  ): { dShift: Tensor; dScale: Tensor }
}

export interface GatedAddOp {
  /** x + gate y; x, y [pictures * tokens, width]. x's gradient is dy itself. */
  forward(x: Tensor, y: Tensor, gate: PerPicture): Tensor
  /** y's gradient, gate dy. */
  backward(dy: Tensor, gate: PerPicture): Tensor
  /** [pictures, width]: dy y summed over a picture's rows. */
  gateGradient(dy: Tensor, y: Tensor, pictures: number): Tensor
}

export interface LastRowsOp {
  /** x [pictures * tokens, width] -> the last `count` rows of each picture [pictures * count, width]. */
  forward(x: Tensor, pictures: number, count: number): Tensor
  /** dy [pictures * count, width] -> [pictures * tokens, width], 0 in the rows that were left out. */
  backward(dy: Tensor, pictures: number, tokens: number): Tensor
}

export interface SquaredErrorOp {
  /**
   * y, target [pictures * rows, width], weights [pictures] -> each picture's mean of (y - target)² [pictures], 0 where
   * its weight is 0; not multiplied by the weight.
   */
  forward(y: Tensor, target: Tensor, weights: Tensor): Tensor
  /** The same, and dy = d (sum of weights * loss) / dy. */
  forwardBackward(y: Tensor, target: Tensor, weights: Tensor): { loss: Tensor; dy: Tensor }
}

/** Layers whose weights are trained whole: backward also writes the weight's gradient into its slot. */
export interface DenseOp {
  /** x [rows, in], weight [out, in] -> x Wᵀ (+ residual) [rows, out]. */
  forward(x: Tensor, weight: Parameter, options?: { residual?: Tensor }): Tensor
  /** dx = dy W (+ addTo) [rows, in]; dW = dyᵀ x. */
  backward(dy: Tensor, x: Tensor, weight: Parameter, options?: { addTo?: Tensor }): Tensor
  /** RMSNorm with a gain [1, width]. */
  norm(x: Tensor, gain: Parameter, eps: number): Tensor
  /** dx as RmsNormOp's; dgain = sum over rows of dy x / sqrt(mean(x²) + eps). */
  normBackward(dy: Tensor, x: Tensor, gain: Parameter, eps: number, options?: { addTo?: Tensor }): Tensor
  /** LinearCrossEntropyOp's forwardBackward; dW = dlogitsᵀ x. */
  crossEntropy(x: Tensor, weight: Parameter, targets: Tensor, rowWeights: Tensor): { nll: Tensor; dx: Tensor }
  /** Rows of a table by id, ids [rows] int32 inside the table. */
  lookUp(ids: Tensor, table: Parameter): Tensor
  /** dtable: row v is the sum of dy's rows whose id is v, in their order; zero where no id is v. */
  lookUpBackward(dy: Tensor, ids: Tensor, table: Parameter): void
}

/** Index of each number in the `hyper` tensor [8] of `adamw`. */
export const HYPER = {
  learningRate: 0,
  beta1: 1,
  beta2: 2,
  epsilon: 3,
  weightDecay: 4,
  /** 1 - beta1^step and 1 - beta2^step */
  correction1: 5,
  correction2: 6,
  /** Global gradient norm is clipped to this; 0 turns clipping off. */
  maxNorm: 7,
} as const

export interface Ops {
  /** ids [rows] int32, table [vocabulary, width] -> [rows, width]. */
  embedding(ids: Tensor, table: Tensor): Tensor
  readonly linear: LinearOp
  readonly rmsNorm: RmsNormOp
  readonly rotary: RotaryOp
  readonly attention: AttentionOp
  readonly swiglu: SwiGluOp
  readonly linearCrossEntropy: LinearCrossEntropyOp
  readonly dense: DenseOp
  readonly modulatedNorm: ModulatedNormOp
  readonly gatedAdd: GatedAddOp
  readonly lastRows: LastRowsOp
  readonly squaredError: SquaredErrorOp
  /** x / (1 + exp(-x)). */
  silu(x: Tensor): Tensor
  /** x [groups * n, width], weights [groups * n] -> [groups, width]: each group's rows, weighted and summed. */
  weightedRows(x: Tensor, weights: Tensor, groups: number): Tensor
  /**
   * a [pictures * m, width], b [pictures * n, width], positions [m + n, width] -> [pictures * (m + n), width]: a
   * picture's rows of a, then those of b, each plus its position.
   */
  joinRows(a: Tensor, b: Tensor, positions: Tensor, pictures: number): Tensor
  /** [rows, width] each -> [rows, parts * width], side by side. */
  columns(parts: readonly Tensor[]): Tensor
  /** a + b, same shape. */
  add(a: Tensor, b: Tensor): Tensor
  /** x Wᵀ for the last row of x alone: [rows, width], [out, width] -> [1, out]. */
  lastRowLogits(x: Tensor, weight: Tensor): Tensor
  /**
   * One AdamW step over every parameter of the set, from the gradients their slots hold. As PyTorch:
   * decoupled decay first, bias-corrected moments, clip factor min(1, maxNorm / (norm + 1e-6)).
   * Returns the global gradient norm before clipping, [1].
   * Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101
   *
   * With `accumulated`, from what `accumulate` has summed instead.
   */
  adamw(parameters: ParameterSet, hyper: Tensor, options?: { readonly accumulated: boolean }): Tensor
  /**
   * For a batch that passes through in parts: sums = keep · sums + share · gradients, over every gradient slot of the
   * set; factors [2] holds keep (0 for the first part, then 1) and share (the part's share of what counts).
   */
  accumulate(parameters: ParameterSet, factors: Tensor): void
  /** Everything made inside is freed at the end, except what `body` returns (as tf.tidy). */
  scope<T>(name: string, body: () => T): T
}

/** Trainable matrices that live and are stepped together, in one flat buffer where the executor can. */
export interface ParameterSet {
  readonly parameters: ReadonlyMap<string, Parameter>
  /** Replaces values; names must be the set's, lengths are checked. */
  write(values: ReadonlyMap<string, Float32Array>): void
  read(): Promise<Map<string, Float32Array>>
  readGradients(): Promise<Map<string, Float32Array>>
  /** First and second moments, for checkpoints. */
  readMoments(): Promise<{ first: Map<string, Float32Array>; second: Map<string, Float32Array> }>
  writeMoments(first: ReadonlyMap<string, Float32Array>, second: ReadonlyMap<string, Float32Array>): void
  dispose(): void
}
