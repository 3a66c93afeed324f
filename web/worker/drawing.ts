/** Pictures from captions in the worker, step by step as the page follows them. */
import type { Adapter } from '../../models/adapters/adapter.ts'
import { nextTask } from '../../models/backend/next-task.ts'
import type { PictureModel } from '../../models/families/family.ts'
import { pictureGrid } from '../../models/pictures/grid.ts'
import { writePng } from '../../models/pictures/write-png.ts'
import type { Drawn, DrawOptions, DrawProgress } from './api.ts'

/** @throws the signal's reason */
export async function draw(
  model: PictureModel,
  adapter: Adapter | null,
  { captions, seed, steps, guidance }: DrawOptions,
  signal: AbortSignal,
  onProgress: (progress: DrawProgress) => void,
): Promise<Omit<Drawn, 'step'>> {
  const began = performance.now()
  let pictures: readonly Uint8Array[] = []
  for await (const state of model.draw({ adapter, captions, seed, steps, guidance, signal })) {
    pictures = state.pictures()
    onProgress({ step: state.step, steps: state.steps, pictures })
    // Lets a stop from the page come in.
    await nextTask()
  }
  return { side: model.side, pictures, seconds: (performance.now() - began) / 1000 }
}

/** Each pixel of a small picture becomes a square of so many, or a viewer blurs it. */
const ENLARGED_TO = 256

export function picturesPng(pictures: readonly Uint8Array[], side: number, columns: number): Uint8Array {
  const enlarge = Math.max(1, Math.floor(ENLARGED_TO / side))
  const { pixels, width, height } = pictureGrid(pictures, side, { enlarge, columns })
  return writePng(pixels, width, height)
}
