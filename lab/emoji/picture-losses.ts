/** The flow loss of every picture at four fixed times with fixed noise, by split and by category. */
import type { Adapter } from '../../models/adapters/adapter.ts'
import { MEASURED_TIMES } from '../../models/diffusion/flow.ts'
import type { DiffusionModel } from '../../models/diffusion/model.ts'
import { placeAdapter } from '../../models/training/engine-adapter.ts'
import type { LabPicture } from './pictures.ts'

export interface Losses {
  /** Mean over all pictures. */
  readonly all: number
  readonly splits: Readonly<Record<string, number>>
  readonly categories: Readonly<Record<string, number>>
}

/** Passes at once. */
const BATCH = 16

export async function pictureLosses(
  model: DiffusionModel,
  adapter: Adapter | null,
  pictures: readonly LabPicture[],
  onProgress: (fraction: number) => void,
): Promise<Losses> {
  const placed = adapter ? placeAdapter(model.engine, adapter) : null
  const shape = { batch: BATCH, tokens: 1 }
  const program = await model.engine.program('losses', model.inputs(shape), (ops, inputs) => ({
    loss: model.loss(ops, inputs, shape, placed),
  }))
  try {
    const passes = model.asMeasured(pictures.map(({ example }) => example))
    const own = new Float64Array(pictures.length)
    for (let first = 0; first < passes.length; first += BATCH) {
      const batch = passes.slice(first, first + BATCH)
      const { loss } = await program.run(model.collate(batch, shape).inputs, ['loss'])
      batch.forEach((_, i) => {
        own[Math.floor((first + i) / MEASURED_TIMES.length)] += loss[i] / MEASURED_TIMES.length
      })
      onProgress((first + batch.length) / passes.length)
    }
    const mean = (chosen: (picture: LabPicture) => boolean) => {
      const picked = pictures.flatMap((picture, i) => (chosen(picture) ? [own[i]] : []))
      return picked.reduce((sum, loss) => sum + loss, 0) / picked.length
    }
    const by = (key: 'split' | 'category') =>
      Object.fromEntries(
        [...new Set(pictures.map((picture) => picture[key]))]
          .sort()
          .map((value) => [value, mean((picture) => picture[key] === value)]),
      )
    return { all: mean(() => true), splits: by('split'), categories: by('category') }
  } finally {
    program.dispose()
    placed?.dispose()
  }
}
