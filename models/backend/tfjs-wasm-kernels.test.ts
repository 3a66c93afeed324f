/** The replaced tfjs-wasm kernels against plain index arithmetic, over every permutation and odd lengths. */
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { integers, normals } from '../testing/normals.ts'
import { createWasmEngine, threadsFor } from './tfjs-wasm.ts'

const handlers = () => [
  process.listenerCount('uncaughtException'),
  process.listenerCount('unhandledRejection'),
]

let handlersAdded: number[]

beforeAll(async () => {
  const before = handlers()
  await createWasmEngine()
  handlersAdded = handlers().map((count, i) => count - before[i])
})

it('leaves no handlers of its own on the process', () => {
  expect(handlersAdded).toEqual([0, 0])
})

function permutations(axes: number[]): number[][] {
  if (axes.length < 2) return [axes]
  return axes.flatMap((axis) =>
    permutations(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]),
  )
}

/** By definition: the output's entry at an index is the input's at the permuted index. */
function plainTranspose(values: Float32Array, shape: number[], perm: number[]): Float32Array {
  const outShape = perm.map((axis) => shape[axis])
  return values.map((_, flat) => {
    const index = new Array<number>(shape.length)
    let rest = flat
    for (let i = perm.length - 1; i >= 0; i--) {
      index[perm[i]] = rest % outShape[i]
      rest = Math.floor(rest / outShape[i])
    }
    return values[index.reduce((at, place, axis) => at * shape[axis] + place, 0)]
  })
}

describe('transpose', () => {
  const shapes = [
    [1, 7],
    [7, 1],
    [4, 4],
    [5, 9],
    [17, 30],
    [64, 33],
    [3, 5, 6],
    [2, 1, 9],
    [2, 3, 4, 5],
    [1, 6, 2, 8],
    [3, 1, 7, 4],
  ]
  it.each(shapes.map((shape) => [shape.join(' x '), shape] as const))(
    '%s, every order of axes',
    (_, shape) => {
      const values = normals(
        shape.reduce((a, b) => a * b),
        1,
      )
      for (const perm of permutations(shape.map((_, axis) => axis))) {
        const found = tf.tidy(() => tf.transpose(tf.tensor(values, [...shape]), perm))
        expect(found.shape).toEqual(perm.map((axis) => shape[axis]))
        expect(found.dataSync()).toEqual(plainTranspose(values, [...shape], perm))
        found.dispose()
      }
    },
  )

  it('of integers, which tfjs itself does', () => {
    const found = tf.tidy(() => tf.transpose(tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3], 'int32')))
    expect([...found.dataSync()]).toEqual([1, 4, 2, 5, 3, 6])
    found.dispose()
  })
})

describe('slice', () => {
  const values = normals(4 * 5 * 6, 1)
  it.each([
    ['rows', [1, 0, 0], [2, 5, 6]],
    ['part of one row', [2, 3, 1], [1, 1, 4]],
    ['not one stretch', [0, 1, 0], [3, 2, 6]],
    ['to the end', [3, 0, 0], [-1, -1, -1]],
  ] as const)('%s', (_, begin, size) => {
    const found = tf.tidy(() => tf.slice(tf.tensor3d(values, [4, 5, 6]), [...begin], [...size]))
    const shape = size.map((length, axis) => (length === -1 ? [4, 5, 6][axis] - begin[axis] : length))
    const expected: number[] = []
    for (let i = 0; i < shape[0]; i++) {
      for (let j = 0; j < shape[1]; j++) {
        const at = ((begin[0] + i) * 5 + begin[1] + j) * 6 + begin[2]
        expected.push(...values.subarray(at, at + shape[2]))
      }
    }
    expect(found.shape).toEqual(shape)
    expect([...found.dataSync()]).toEqual(expected)
    found.dispose()
  })

  it('refuses what lies outside', () => {
    expect(() => tf.tidy(() => tf.slice(tf.tensor1d([1, 2, 3]), 2, 5))).toThrow()
  })
})

describe('gather', () => {
  it('rows of a matrix and entries of a vector', () => {
    const values = normals(11 * 3, 1)
    const ids = integers(20, 2, 11)
    const rows = tf.tidy(() => tf.gather(tf.tensor2d(values, [11, 3]), tf.tensor1d(ids, 'int32')))
    expect([...rows.dataSync()]).toEqual([...ids].flatMap((id) => [...values.subarray(id * 3, id * 3 + 3)]))
    const entries = tf.tidy(() => tf.gather(tf.tensor1d(values), tf.tensor1d(ids, 'int32')))
    expect([...entries.dataSync()]).toEqual([...ids].map((id) => values[id]))
    tf.dispose([rows, entries])
  })

  it('refuses an id outside the table', () => {
    for (const id of [-1, 11]) {
      expect(() => tf.tidy(() => tf.gather(tf.zeros([11, 3]), tf.tensor1d([id], 'int32')))).toThrow()
    }
  })
})

it.each([
  [1, 1],
  [2, 1],
  [4, 3],
  [8, 4],
])('takes on %i cores %i threads', (cores, threads) => {
  expect(threadsFor(cores)).toBe(threads)
})
