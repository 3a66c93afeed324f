/**
 * A model of GPT-nano's size (3 layers, 3 heads, width 48, vocabulary 50,257, embedding and head apart) over this project's
 * ops, every weight trained. It is no GPT-2: RMSNorm where that has LayerNorm, rotary positions where that learns them, SwiGLU of
 * width 128 where that has a GELU of 192, no biases. A block has the same number of weights in its matrices (12 · 48²) and
 * so the same arithmetic.
 */
import { RandomStream } from '../../models/adapters/random.ts'
import type { Engine, Program } from '../../models/backend/engine.ts'
import { rotaryTable } from '../../models/llama/weights.ts'
import type { AttentionShape, Ops, Parameter, ParameterSet, Tensor } from '../../models/ops/ops.ts'

export const NANO = {
  layers: 3,
  heads: 3,
  headDim: 16,
  width: 48,
  inner: 128,
  vocabulary: 50_257,
  eps: 1e-5,
  batch: 8,
  tokens: 64,
  ropeTheta: 10_000,
} as const

const { layers, heads, headDim, width, inner, vocabulary, eps, batch, tokens } = NANO
const ROWS = batch * tokens

export type NanoShape = readonly [number, number]

/** Every weight by name. */
export const nanoShapes = (): ReadonlyMap<string, NanoShape> =>
  new Map<string, NanoShape>([
    ['embedding', [vocabulary, width]],
    ...Array.from({ length: layers }, (_, layer): [string, NanoShape][] => [
      [`${layer}.inputNorm`, [1, width]],
      [`${layer}.q`, [width, width]],
      [`${layer}.k`, [width, width]],
      [`${layer}.v`, [width, width]],
      [`${layer}.o`, [width, width]],
      [`${layer}.postNorm`, [1, width]],
      [`${layer}.gate`, [inner, width]],
      [`${layer}.up`, [inner, width]],
      [`${layer}.down`, [width, inner]],
    ]).flat(),
    ['finalNorm', [1, width]],
    ['head', [vocabulary, width]],
  ])

/** An even spread with GPT-2's standard deviation of 0.02. */
const SPREAD = 0.02 * Math.sqrt(12)

/** Gains are 1, everything else is drawn; the same in every run. */
export function nanoWeights(): Map<string, Float32Array> {
  const weights = new Map<string, Float32Array>()
  for (const [name, [rows, columns]] of nanoShapes()) {
    const values = new Float32Array(rows * columns)
    if (name.endsWith('Norm')) values.fill(1)
    else {
      const random = new RandomStream('gpt-nano', name)
      for (let i = 0; i < values.length; i++) values[i] = SPREAD * (random.nextFloat() - 0.5)
    }
    weights.set(name, values)
  }
  return weights
}

const attentionShape: AttentionShape = { batch, tokens, heads, kvHeads: heads, headDim, causal: true }

export interface NanoTraining {
  readonly program: Program
  readonly parameters: ParameterSet
  dispose(): void
}

/** A whole training step as one program: inputs `ids`, `targets`, `hyper`; outputs `nll` [rows] and `norm` [1]. */
export async function nanoTraining(engine: Engine): Promise<NanoTraining> {
  const shapes = nanoShapes()
  const parameters = engine.parameters(Array.from(shapes, ([name, shape]) => ({ name, shape })))
  parameters.write(nanoWeights())
  const table = rotaryTable({ maxPositions: tokens, headDim, ropeTheta: NANO.ropeTheta, ropeScaling: null })
  const rotary = engine.constant(table, [tokens, headDim])
  const positions = engine.constant(
    Int32Array.from({ length: ROWS }, (_, row) => row % tokens),
    [ROWS],
  )
  const rowWeights = engine.constant(new Float32Array(ROWS).fill(1 / ROWS), [ROWS])
  const of = (name: string): Parameter => parameters.parameters.get(name)!
  const program = await engine.program(
    'gptNano',
    [
      { name: 'ids', shape: [ROWS], dtype: 'int32' },
      { name: 'targets', shape: [ROWS], dtype: 'int32' },
      { name: 'hyper', shape: [8], dtype: 'float32' },
    ],
    (ops, { ids, targets, hyper }) => {
      const nll = forwardBackward(ops, of, { ids, targets, rotary, positions, rowWeights })
      return { nll, norm: ops.adamw(parameters, hyper) }
    },
  )
  return {
    program,
    parameters,
    dispose() {
      program.dispose()
      parameters.dispose()
      for (const tensor of [rotary, positions, rowWeights]) engine.free(tensor)
    },
  }
}

interface Given {
  readonly ids: Tensor
  readonly targets: Tensor
  readonly rotary: Tensor
  readonly positions: Tensor
  readonly rowWeights: Tensor
}

/** So small a model keeps its activations: no block is computed twice. */
function forwardBackward(ops: Ops, of: (name: string) => Parameter, given: Given): Tensor {
  const { dense } = ops
  const turn = (x: Tensor) => ops.rotary.forward(x, given.rotary, given.positions, headDim)
  const turnBack = (dy: Tensor) => ops.rotary.backward(dy, given.rotary, given.positions, headDim)

  let x = dense.lookUp(given.ids, of('embedding')) // [rows, width]
  const kept = Array.from({ length: layers }, (_, layer) => {
    const w = (name: string) => of(`${layer}.${name}`)
    const normed = dense.norm(x, w('inputNorm'), eps)
    const q = turn(dense.forward(normed, w('q')))
    const k = turn(dense.forward(normed, w('k')))
    const v = dense.forward(normed, w('v'))
    const attention = ops.attention.forward(q, k, v, attentionShape)
    const middle = dense.forward(attention.out, w('o'), { residual: x })
    const middleNormed = dense.norm(middle, w('postNorm'), eps)
    const gate = dense.forward(middleNormed, w('gate'))
    const up = dense.forward(middleNormed, w('up'))
    const activated = ops.swiglu.forward(gate, up) // [rows, inner]
    const input = x
    x = dense.forward(activated, w('down'), { residual: middle })
    return { w, input, normed, q, k, v, attention, middle, middleNormed, gate, up, activated }
  })
  const last = dense.norm(x, of('finalNorm'), eps)
  const { nll, dx } = dense.crossEntropy(last, of('head'), given.targets, given.rowWeights)
  let dy = dense.normBackward(dx, x, of('finalNorm'), eps)
  for (const block of kept.toReversed()) {
    const { w, attention } = block
    const dActivated = dense.backward(dy, block.activated, w('down'))
    const { dGate, dUp } = ops.swiglu.backward(dActivated, block.gate, block.up)
    const fromGate = dense.backward(dGate, block.middleNormed, w('gate'))
    const dMiddleNormed = dense.backward(dUp, block.middleNormed, w('up'), { addTo: fromGate })
    const dMiddle = dense.normBackward(dMiddleNormed, block.middle, w('postNorm'), eps, { addTo: dy })
    const dOut = dense.backward(dMiddle, attention.out, w('o'))
    const { dq, dk, dv } = ops.attention.backward(
      ...[dOut, block.q, block.k, block.v, attention.out, attention.logSumExp, attentionShape],
    )
    const fromQuery = dense.backward(turnBack(dq), block.normed, w('q'))
    const fromKey = dense.backward(turnBack(dk), block.normed, w('k'), { addTo: fromQuery })
    const dNormed = dense.backward(dv, block.normed, w('v'), { addTo: fromKey })
    dy = dense.normBackward(dNormed, block.input, w('inputNorm'), eps, { addTo: dMiddle })
  }
  dense.lookUpBackward(dy, given.ids, of('embedding'))
  return nll
}
