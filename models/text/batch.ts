/**
 * Windows of text laid out for a model that predicts the next token: `ids`, `positions`, `segments` (the first row of
 * the document a row belongs to), `targets` and `rowWeights` (1 / counted, 0 where nothing counts), each
 * [batch * tokens].
 */
import type { InputSpec } from '../backend/engine.ts'
import type { Batch, BatchShape } from '../training/model.ts'
import { pack } from './packing.ts'
import type { TextExample } from './windows.ts'

/** How many rows each takes. */
const predictionsOf = (examples: readonly TextExample[]) => examples.map(({ ids }) => ids.length - 1)

export function windowInputs(shape: BatchShape): readonly InputSpec[] {
  const rows = shape.batch * shape.tokens
  return [
    { name: 'ids', shape: [rows], dtype: 'int32' },
    { name: 'positions', shape: [rows], dtype: 'int32' },
    { name: 'segments', shape: [rows], dtype: 'int32' },
    { name: 'targets', shape: [rows], dtype: 'int32' },
    { name: 'rowWeights', shape: [rows], dtype: 'float32' },
  ]
}

export function windowsFit(examples: readonly TextExample[], shape: BatchShape): boolean {
  return pack(predictionsOf(examples), shape) !== null
}

/** Short windows share one of the shape's; each begins at position 0, and none attends to another. */
export function collateWindows(examples: readonly TextExample[], shape: BatchShape): Batch {
  const rows = shape.batch * shape.tokens
  const ids = new Int32Array(rows)
  const positions = new Int32Array(rows)
  const segments = new Int32Array(rows)
  const targets = new Int32Array(rows)
  const rowWeights = new Float32Array(rows)
  let counted = 0
  let processed = 0
  const lengths = predictionsOf(examples)
  const places = pack(lengths, shape)
  if (!places) {
    throw new RangeError(
      `${examples.length} windows of up to ${Math.max(...lengths)} in ${shape.batch} x ${shape.tokens} tokens`,
    )
  }
  const used = new Int32Array(shape.batch)
  const begin = (window: number, at: number, length: number) => {
    for (let t = 0; t < length; t++) {
      positions[window * shape.tokens + at + t] = t
      segments[window * shape.tokens + at + t] = at
    }
    used[window] = Math.max(used[window], at + length)
  }
  examples.forEach((example, index) => {
    const { window, at } = places[index]
    begin(window, at, lengths[index])
    for (let t = 0; t < lengths[index]; t++) {
      const row = window * shape.tokens + at + t
      ids[row] = example.ids[t]
      targets[row] = example.ids[t + 1]
      if (example.counts[t]) {
        rowWeights[row] = 1
        counted++
      }
    }
    processed += lengths[index]
  })
  // What is left of a window is a document of padding.
  for (let window = 0; window < shape.batch; window++)
    begin(window, used[window], shape.tokens - used[window])
  if (counted > 0) for (let row = 0; row < rows; row++) rowWeights[row] /= counted
  return { inputs: { ids, positions, segments, targets, rowWeights }, counted, processed }
}
