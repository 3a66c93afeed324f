/**
 * Few program shapes for batches of many lengths: a batch of short examples, packed, passes through fewer windows
 * than the recipe's, or through one shorter one. Every shape is a program of its own (recorded, compiled and with
 * its own memory), so a run takes at most MAX_SHAPES, those that leave the least padding over its batches.
 */
import type { BatchShape, Example, Model } from './model.ts'

const MAX_SHAPES = 3

/** Steps of the cuts between nothing and the whole shape. */
const PARTS = 4

/** Shapes up to `limit`, each holding whatever the one before holds: quarters of a window, then of the windows. */
export function candidateShapes({ batch, tokens }: BatchShape): BatchShape[] {
  const quarters = (whole: number) => [
    ...new Set(Array.from({ length: PARTS }, (_, i) => Math.ceil((whole * (i + 1)) / PARTS))),
  ]
  return [
    ...quarters(tokens).map((length) => ({ batch: 1, tokens: length })),
    ...quarters(batch)
      .filter((windows) => windows > 1)
      .map((windows) => ({ batch: windows, tokens })),
  ]
}

const rowsOf = ({ batch, tokens }: BatchShape) => batch * tokens

/** Whether the model can lay these examples out in this shape. */
export function fits<E extends Example>(model: Model<E>, examples: readonly E[], shape: BatchShape): boolean {
  return model.fits?.(examples, shape) ?? examples.length <= shape.batch
}

/**
 * The shapes a run over `batches` takes, smallest first, the last always `limit`. A family that cannot pack has one.
 */
export function chooseShapes<E extends Example>(
  model: Model<E>,
  limit: BatchShape,
  batches: Iterable<readonly E[]>,
): BatchShape[] {
  if (!model.fits) return [limit]
  const candidates = candidateShapes(limit)
  /** How many batches need each candidate, and none smaller. */
  const needed = new Array<number>(candidates.length).fill(0)
  for (const batch of batches) {
    const smallest = candidates.findIndex((shape) => fits(model, batch, shape))
    needed[smallest < 0 ? candidates.length - 1 : smallest]++
  }
  let best = [candidates.length - 1]
  let fewest = Number.POSITIVE_INFINITY
  for (const chosen of subsets(candidates.length - 1, MAX_SHAPES - 1)) {
    const all = [...chosen, candidates.length - 1]
    const rows = needed.reduce((sum, count, need) => {
      const taken = all.find((index) => index >= need)!
      return sum + count * rowsOf(candidates[taken])
    }, 0)
    if (rows < fewest) {
      fewest = rows
      best = all
    }
  }
  return best.map((index) => candidates[index])
}

/** Increasing choices of at most `most` of 0..count-1, the fewest first. */
function subsets(count: number, most: number): number[][] {
  let level: number[][] = [[]]
  const found = [...level]
  for (let size = 1; size <= most; size++) {
    level = level.flatMap((chosen) =>
      Array.from({ length: count }, (_, i) => i)
        .filter((i) => i > (chosen.at(-1) ?? -1))
        .map((i) => [...chosen, i]),
    )
    found.push(...level)
  }
  return found
}

/** The examples in order, cut into the fewest runs that each fit the shape. */
export function cutToFit<E extends Example>(
  model: Model<E>,
  examples: readonly E[],
  shape: BatchShape,
): E[][] {
  const parts: E[][] = []
  let part: E[] = []
  for (const example of examples) {
    if (part.length > 0 && !fits(model, [...part, example], shape)) {
      parts.push(part)
      part = []
    }
    part.push(example)
  }
  if (part.length > 0) parts.push(part)
  return parts
}
