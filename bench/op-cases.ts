/**
 * The ops that a SmolLM2 training step and its decoding are made of, at that model's sizes: what goes in, what is run,
 * and how much work it is at least.
 */
import type { Engine, InputSpec, ProgramInputs } from '../models/backend/engine.ts'
import type { AttentionShape, Linear, Ops, ParameterSet, Tensor } from '../models/ops/ops.ts'
import { normals as floats } from '../models/testing/normals.ts'
import { packedMatrix } from '../models/testing/packed.ts'
import {
  attentionBackwardFlops,
  attentionForwardFlops,
  headFlops,
  linearBackwardFlops,
  linearForwardFlops,
} from './counts.ts'

export interface OpCase {
  readonly name: string
  /** The sizes in words. */
  readonly shape: string
  readonly flops: number
  /** Read and written at least once, weights as they are stored. */
  readonly bytes: number
  /** About what timing it on both engines takes on two cores without a GPU. */
  readonly seconds: number
  prepare(engine: Engine): PreparedOp
}

export interface PreparedOp {
  readonly specs: readonly InputSpec[]
  readonly inputs: ProgramInputs
  body(ops: Ops, inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor>
  dispose(): void
}

const HIDDEN = 576
const INNER = 1536
const VOCABULARY = 49_152
const HEADS = 9
const KV_HEADS = 3
const HEAD_DIM = 64
const RANK = 8
/** Of an F32 number. */
const F32 = 4
/** Q4_1 takes 20 bytes a block of 32. */
const q41Bytes = (count: number) => (count / 32) * 20

const q41Blocks = (shape: readonly [number, number], seed: number) => packedMatrix('Q4_1', shape, seed).blocks

type Sizes = Readonly<Record<string, readonly number[]>>

/** Inputs of random numbers by name and shape. */
function numbersOf(sizes: Sizes): Pick<PreparedOp, 'specs' | 'inputs'> {
  const specs = Object.entries(sizes).map(([name, shape]) => ({ name, shape, dtype: 'float32' as const }))
  const inputs = Object.fromEntries(
    specs.map(({ name, shape }, seed) => [
      name,
      floats(
        shape.reduce((n, side) => n * side, 1),
        seed + 1,
      ),
    ]),
  )
  return { specs, inputs }
}

const entries = (sizes: Sizes) =>
  Object.values(sizes).reduce((sum, shape) => sum + shape.reduce((n, side) => n * side, 1), 0)

interface LinearCase {
  readonly rows: number
  readonly width: number
  readonly out: number
  readonly rank: number
  readonly weight: 'F32' | 'Q4_1'
}

function placeLinear(engine: Engine, { width, out, rank, weight }: LinearCase) {
  const placed =
    weight === 'F32'
      ? engine.constant(floats(out * width, 90), [out, width])
      : engine.packed('Q4_1', q41Blocks([out, width], 91), [out, width])
  let parameters: ParameterSet | null = null
  let layer: Linear = { weight: placed }
  if (rank > 0) {
    parameters = engine.parameters([
      { name: 'a', shape: [rank, width] },
      { name: 'b', shape: [out, rank] },
    ])
    parameters.write(
      new Map([
        ['a', floats(rank * width, 92)],
        ['b', floats(out * rank, 93)],
      ]),
    )
    const { a, b } = { a: parameters.parameters.get('a')!, b: parameters.parameters.get('b')! }
    layer = { weight: placed, lora: { a, b, scale: 2 } }
  }
  return {
    layer,
    dispose() {
      parameters?.dispose()
      engine.free(placed)
    },
  }
}

function linearCase(linear: LinearCase, direction: 'forward' | 'backward'): OpCase {
  const { rows, width, out, rank, weight } = linear
  const sizes: Sizes = direction === 'forward' ? { x: [rows, width] } : { dy: [rows, out], x: [rows, width] }
  const weightBytes = weight === 'F32' ? F32 * out * width : q41Bytes(out * width)
  const result = direction === 'forward' ? rows * out : rows * width + rank * (width + out)
  return {
    name: `linear ${direction}, ${weight}${rank > 0 ? `, LoRA r ${rank}` : ''}`,
    shape: `${rows} x ${width} by ${out}`,
    flops: direction === 'forward' ? linearForwardFlops(linear) : linearBackwardFlops(linear),
    seconds: 4,
    bytes: weightBytes + F32 * (entries(sizes) + result + rank * (width + out)),
    prepare(engine) {
      const { layer, dispose } = placeLinear(engine, linear)
      return {
        ...numbersOf(sizes),
        body: (ops, { x, dy }) => ({
          y: direction === 'forward' ? ops.linear.forward(x, layer) : ops.linear.backward(dy, x, layer),
        }),
        dispose,
      }
    },
  }
}

/** Ops whose operands are all activations. */
function activationCase(
  name: string,
  sizes: Sizes,
  results: number,
  flops: number,
  body: PreparedOp['body'],
): OpCase {
  return {
    name,
    shape: Object.values(sizes)
      .map((shape) => `[${shape.join(', ')}]`)
      .join(' '),
    flops,
    bytes: F32 * (entries(sizes) + results),
    seconds: flops > 0 ? 10 : 3,
    prepare: () => ({ ...numbersOf(sizes), body, dispose: () => {} }),
  }
}

function normCase(rows: number, direction: 'forward' | 'backward'): OpCase {
  const sizes: Sizes =
    direction === 'forward' ? { x: [rows, HIDDEN] } : { x: [rows, HIDDEN], dy: [rows, HIDDEN] }
  return {
    ...activationCase(`RMSNorm ${direction}`, sizes, rows * HIDDEN + HIDDEN, 0, () => ({})),
    prepare(engine) {
      const gain = engine.constant(floats(HIDDEN, 80), [HIDDEN])
      return {
        ...numbersOf(sizes),
        body: (ops, { x, dy }) => ({
          y:
            direction === 'forward'
              ? ops.rmsNorm.forward(x, gain, 1e-5)
              : ops.rmsNorm.backward(dy, x, gain, 1e-5),
        }),
        dispose: () => engine.free(gain),
      }
    },
  }
}

function attentionCases(tokens: number): OpCase[] {
  const shape: AttentionShape = {
    batch: 1,
    tokens,
    heads: HEADS,
    kvHeads: KV_HEADS,
    headDim: HEAD_DIM,
    causal: true,
  }
  const [wide, narrow] = [
    [tokens, HEADS * HEAD_DIM],
    [tokens, KV_HEADS * HEAD_DIM],
  ]
  const size = { q: wide, k: narrow, v: narrow }
  return [
    activationCase(
      'attention forward',
      size,
      tokens * HEADS * (HEAD_DIM + 1),
      attentionForwardFlops(shape),
      (ops, { q, k, v }) => ({ out: ops.attention.forward(q, k, v, shape).out }),
    ),
    activationCase(
      'attention forward and backward',
      { ...size, dOut: wide },
      entries(size),
      attentionForwardFlops(shape) + attentionBackwardFlops(shape),
      (ops, { q, k, v, dOut }) => {
        const { out, logSumExp } = ops.attention.forward(q, k, v, shape)
        return { ...ops.attention.backward(dOut, q, k, v, out, logSumExp, shape) }
      },
    ),
  ]
}

function headCase(rows: number): OpCase {
  return {
    name: 'head and cross-entropy, forward and backward, Q4_1',
    shape: `${rows} x ${HIDDEN} by ${VOCABULARY}`,
    flops: headFlops(rows, HIDDEN, VOCABULARY, true),
    seconds: 60,
    bytes: q41Bytes(HIDDEN * VOCABULARY) + F32 * rows * (2 * HIDDEN + 3),
    prepare(engine) {
      const weight = engine.packed('Q4_1', q41Blocks([VOCABULARY, HIDDEN], 94), [VOCABULARY, HIDDEN])
      const { specs, inputs } = numbersOf({ x: [rows, HIDDEN] })
      return {
        specs: [
          ...specs,
          { name: 'targets', shape: [rows], dtype: 'int32' },
          { name: 'rowWeights', shape: [rows], dtype: 'float32' },
        ],
        inputs: {
          ...inputs,
          targets: Int32Array.from({ length: rows }, (_, row) => (row * 7919) % VOCABULARY),
          rowWeights: new Float32Array(rows).fill(1 / rows),
        },
        body: (ops, { x, targets, rowWeights }) => ({
          ...ops.linearCrossEntropy.forwardBackward(x, weight, targets, rowWeights),
        }),
        dispose: () => engine.free(weight),
      }
    },
  }
}

const ADAPTED = 24
const FEW_ROWS = 16

/** The optimiser needs gradients, so low-rank layers over a few rows make them: most of the time is the optimiser's. */
function adamwCase(): OpCase {
  const linear = { rows: FEW_ROWS, width: HIDDEN, out: INNER, rank: RANK }
  const numbers = ADAPTED * RANK * (HIDDEN + INNER)
  return {
    name: `AdamW with clipping, after the gradients of ${FEW_ROWS} rows`,
    shape: `${numbers} numbers of ${ADAPTED} layers`,
    flops: ADAPTED * linearBackwardFlops(linear, false),
    seconds: 8,
    // Read: values, gradients twice (their norm comes first), both moments; written: gradients, values, both moments.
    bytes: F32 * numbers * 9,
    prepare(engine) {
      const weight = engine.constant(floats(HIDDEN * INNER, 95), [INNER, HIDDEN])
      const names = Array.from({ length: ADAPTED }, (_, layer) => layer)
      const set = engine.parameters(
        names.flatMap((layer) => [
          { name: `a${layer}`, shape: [RANK, HIDDEN] as const },
          { name: `b${layer}`, shape: [INNER, RANK] as const },
        ]),
      )
      const { specs, inputs } = numbersOf({ x: [FEW_ROWS, HIDDEN], dy: [FEW_ROWS, INNER] })
      return {
        specs: [...specs, { name: 'hyper', shape: [8], dtype: 'float32' }],
        inputs: { ...inputs, hyper: Float32Array.of(1e-3, 0.9, 0.999, 1e-8, 0.01, 0.1, 0.001, 1) },
        body(ops, { x, dy, hyper }) {
          for (const layer of names) {
            const [a, b] = [set.parameters.get(`a${layer}`)!, set.parameters.get(`b${layer}`)!]
            ops.linear.backward(dy, x, { weight, lora: { a, b, scale: 2 } }, { needInput: false })
          }
          return { norm: ops.adamw(set, hyper) }
        },
        dispose() {
          set.dispose()
          engine.free(weight)
        },
      }
    },
  }
}

const linear = (rows: number, width: number, out: number, rank: number, weight: 'F32' | 'Q4_1') => ({
  rows,
  width,
  out,
  rank,
  weight,
})

/** Products alone: where the engine's best speed is looked for. */
export const productCases = (rows: number): OpCase[] => [
  linearCase(linear(rows, HIDDEN, INNER, 0, 'F32'), 'forward'),
  linearCase(linear(rows, INNER, HIDDEN, 0, 'F32'), 'forward'),
  linearCase(linear(rows, HIDDEN, INNER, 0, 'F32'), 'backward'),
  linearCase(linear(rows, HIDDEN, INNER, 0, 'Q4_1'), 'forward'),
  linearCase(linear(rows, HIDDEN, INNER, 0, 'Q4_1'), 'backward'),
]

/** Everything else a step of `rows` tokens does, and a product of one row, as in decoding. */
export const otherCases = (rows: number): OpCase[] => [
  linearCase(linear(1, HIDDEN, INNER, 0, 'Q4_1'), 'forward'),
  linearCase(linear(rows, HIDDEN, INNER, RANK, 'Q4_1'), 'forward'),
  linearCase(linear(rows, HIDDEN, INNER, RANK, 'Q4_1'), 'backward'),
  normCase(rows, 'forward'),
  normCase(rows, 'backward'),
  activationCase(
    'SwiGLU forward',
    { gate: [rows, INNER], up: [rows, INNER] },
    rows * INNER,
    0,
    (ops, { gate, up }) => ({
      y: ops.swiglu.forward(gate, up),
    }),
  ),
  activationCase(
    'SwiGLU backward',
    { dy: [rows, INNER], gate: [rows, INNER], up: [rows, INNER] },
    2 * rows * INNER,
    0,
    (ops, { dy, gate, up }) => ({ ...ops.swiglu.backward(dy, gate, up) }),
  ),
  ...attentionCases(rows),
  headCase(16),
  adamwCase(),
]
