/**
 * How much work an op is, from shapes alone: floating-point operations (a multiplication and an addition are two) and
 * the bytes that have to be moved at least once. Only products count as operations; norms, activations and the
 * optimiser are a few in a thousand of a training step.
 */

/** A product [rows, inner] by [inner, columns]. */
export const productFlops = (rows: number, inner: number, columns: number): number =>
  2 * rows * inner * columns

export interface LinearShape {
  readonly rows: number
  readonly width: number
  readonly out: number
  /** Of its low-rank path; 0 for none. */
  readonly rank: number
}

/** x Wᵀ, and (x Aᵀ) Bᵀ. */
export const linearForwardFlops = ({ rows, width, out, rank }: LinearShape): number =>
  productFlops(rows, width, out) + productFlops(rows, width, rank) + productFlops(rows, rank, out)

/**
 * dy W and (dy B) A for the input's gradient, (dy B)ᵀ x for A's, dyᵀ (x Aᵀ) for B's. x Aᵀ is there from the forward.
 * Without the input's gradient dy B is still needed.
 */
export function linearBackwardFlops({ rows, width, out, rank }: LinearShape, needInput = true): number {
  const factors = 2 * productFlops(rows, out, rank) + productFlops(rows, width, rank)
  return factors + (needInput ? productFlops(rows, out, width) + productFlops(rows, rank, width) : 0)
}

export interface AttentionWork {
  readonly batch: number
  readonly tokens: number
  readonly heads: number
  readonly headDim: number
}

/** Query and key pairs of causal attention, over all heads. */
const pairs = ({ batch, tokens, heads }: AttentionWork) => (batch * heads * tokens * (tokens + 1)) / 2

/** q·k and p·v. */
export const attentionForwardFlops = (work: AttentionWork): number => 4 * pairs(work) * work.headDim

/** The scores again, then p's gradient and those of q, k and v. */
export const attentionBackwardFlops = (work: AttentionWork): number => 10 * pairs(work) * work.headDim

/** Logits of every row; backward adds the input's gradient. */
export const headFlops = (rows: number, width: number, vocabulary: number, backward: boolean): number =>
  productFlops(rows, width, vocabulary) * (backward ? 2 : 1)

/** The sizes of a Llama that its work depends on. */
export interface LlamaSizes {
  readonly layers: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly vocabularySize: number
}

/** A block's linear layers: q, k, v, o, gate, up, down. */
function blockLinears(sizes: LlamaSizes, rows: number, rank: number): Record<string, LinearShape> {
  const { hiddenSize: hidden, intermediateSize: inner, heads, kvHeads, headDim } = sizes
  const of = (width: number, out: number): LinearShape => ({ rows, width, out, rank })
  return {
    q: of(hidden, heads * headDim),
    k: of(hidden, kvHeads * headDim),
    v: of(hidden, kvHeads * headDim),
    o: of(heads * headDim, hidden),
    gate: of(hidden, inner),
    up: of(hidden, inner),
    down: of(inner, hidden),
  }
}

export interface StepFlops {
  /** What the mathematics asks for: one forward, one backward. */
  readonly needed: number
  /** With each block computed a second time on the way back, up to its last projection. */
  readonly performed: number
}

/** A training step of low-rank factors on all seven projections. Block 0's input needs no gradient. */
export function trainingStepFlops(
  sizes: LlamaSizes,
  { batch, tokens, rank }: { readonly batch: number; readonly tokens: number; readonly rank: number },
): StepFlops {
  const rows = batch * tokens
  const linears = blockLinears(sizes, rows, rank)
  const sum = (of: (shape: LinearShape) => number) =>
    Object.values(linears).reduce((total, shape) => total + of(shape), 0)
  const attention = { batch, tokens, heads: sizes.heads, headDim: sizes.headDim }
  const forward = sum(linearForwardFlops) + attentionForwardFlops(attention)
  const backward = sum((shape) => linearBackwardFlops(shape)) + attentionBackwardFlops(attention)
  const { q, k, v } = linears
  const saved = [q, k, v].reduce(
    (total, shape) => total + linearBackwardFlops(shape) - linearBackwardFlops(shape, false),
    0,
  )
  const head = headFlops(rows, sizes.hiddenSize, sizes.vocabularySize, true)
  const needed = sizes.layers * (forward + backward) - saved + head
  return { needed, performed: needed + sizes.layers * (forward - linearForwardFlops(linears.down)) }
}

/** Taking in `tokens` after `past` others that are in the cache; logits of the last alone. */
export function generationFlops(sizes: LlamaSizes, past: number, tokens: number): number {
  const linears = Object.values(blockLinears(sizes, tokens, 0))
  const seen = past * tokens + (tokens * (tokens + 1)) / 2
  const block =
    linears.reduce((total, shape) => total + linearForwardFlops(shape), 0) +
    4 * sizes.heads * sizes.headDim * seen
  return sizes.layers * block + headFlops(1, sizes.hiddenSize, sizes.vocabularySize, false)
}
