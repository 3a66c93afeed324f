/**
 * The same model and step as a user of tfjs would write it: `tf.variableGrads` and `tf.train.adam` over plain ops. One
 * gradient is written by hand, as it has to be: tfjs's own of `tf.gather` asks for UnsortedSegmentSum, which its wasm backend
 * does not have. `tf.scatterND` adds up the rows of a repeated id likewise and is there on every backend; a product with one-hot
 * rows would be as much work again as the model's head.
 */
import * as tf from '@tensorflow/tfjs-core'
import { causalMask, joinHeads, norm, rotaryParts, rotate, splitHeads } from '../plain/parts.ts'
import { NANO, nanoShapes, nanoWeights } from './model.ts'

const { layers, headDim, vocabulary, eps, batch, tokens, ropeTheta } = NANO

/** These lie [in, out] here, as tf.layers keeps them and as tfjs multiplies fastest. */
const isMatrix = (name: string) => name !== 'embedding' && !name.endsWith('Norm')

/** The table's rows of these ids; its gradient is the rows' gradients, added up by id. */
function lookUp(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  const [rows, width] = table.shape
  const op = tf.customGrad((...[given]) => ({
    value: tf.gather(given as tf.Tensor2D, ids),
    gradFunc: (dy) => tf.scatterND(tf.expandDims(ids, 1), dy as tf.Tensor, [rows, width]),
  }))
  return op(table) as tf.Tensor2D
}

export interface PlainNano {
  step(ids: Int32Array, targets: Int32Array): Promise<number>
  dispose(): void
}

export function plainNano(learningRate: number): PlainNano {
  const shapes = nanoShapes()
  const variables = new Map(
    Array.from(nanoWeights(), ([name, values]) => [
      name,
      tf.tidy(() => {
        const given = tf.tensor2d(values, [...shapes.get(name)!])
        return tf.variable(isMatrix(name) ? tf.transpose(given) : given)
      }),
    ]),
  )
  const of = (name: string) => variables.get(name)! as unknown as tf.Tensor2D
  const gain = (name: string): tf.Tensor1D => tf.reshape(of(name), [-1])
  const { cos, sin } = rotaryParts({ maxPositions: tokens, headDim, ropeTheta, ropeScaling: null }, 0, tokens)
  const mask = causalMask(tokens)
  const apply = (x: tf.Tensor2D, name: string): tf.Tensor2D => tf.matMul(x, of(name))

  const loss = (ids: tf.Tensor1D, hot: tf.Tensor2D): tf.Scalar => {
    let x = lookUp(of('embedding'), ids) // [batch * tokens, width]
    for (let layer = 0; layer < layers; layer++) {
      const normed = norm(x, gain(`${layer}.inputNorm`), eps)
      const split = (name: string) => splitHeads(apply(normed, `${layer}.${name}`), batch, headDim)
      const [q, k, v] = [rotate(split('q'), cos, sin), rotate(split('k'), cos, sin), split('v')]
      const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(headDim)), mask)
      x = tf.add(x, apply(joinHeads(tf.matMul(tf.softmax(scores), v)), `${layer}.o`))
      const middle = norm(x, gain(`${layer}.postNorm`), eps)
      const gate = apply(middle, `${layer}.gate`)
      const activated = tf.mul<tf.Tensor2D>(tf.mul(gate, tf.sigmoid(gate)), apply(middle, `${layer}.up`))
      x = tf.add(x, apply(activated, `${layer}.down`))
    }
    const logits = apply(norm(x, gain('finalNorm'), eps), 'head')
    return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), hot), -1)))
  }

  const optimiser = tf.train.adam(learningRate)
  return {
    async step(ids, targets) {
      const value = tf.tidy(() => {
        const hot = tf.cast(tf.oneHot(tf.tensor1d(targets, 'int32'), vocabulary), 'float32') as tf.Tensor2D
        // Made out here: the gradients are computed when what was made inside is gone.
        const given = tf.tensor1d(ids, 'int32')
        const { value, grads } = tf.variableGrads(() => loss(given, hot), [...variables.values()])
        optimiser.applyGradients(grads as Parameters<typeof optimiser.applyGradients>[0])
        return value
      })
      const [number] = await value.data()
      value.dispose()
      return number
    },
    dispose() {
      tf.dispose([cos, sin, mask])
      for (const variable of variables.values()) variable.dispose()
      optimiser.dispose()
    },
  }
}
