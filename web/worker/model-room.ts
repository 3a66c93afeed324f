/** Whether this device has room for what a room's model is wanted for, told in words for whoever cannot read a manifest. */
import type { Engine } from '../../models/backend/engine.ts'
import { type ModelSources, readModelOutline } from '../../models/catalog/model-files.ts'
import { MemoryPlanner, type Work } from '../../models/catalog/planner.ts'
import type { Manifest } from '../../relay/protocol/manifest.ts'
import { PageError } from '../state/problems.ts'
import { problems } from '../strings/problems.ts'
import type { Purpose } from './api.ts'

/** Windows of a batch that there is room for at once. Throws PageError `model/too-large`, FormatError. */
export async function windowsFor(
  sources: ModelSources,
  { adapter, recipe }: Manifest,
  purpose: Purpose,
  { executor, room }: Pick<Engine, 'executor' | 'room'>,
): Promise<number> {
  const work: Work = {
    batch: recipe.batch,
    tokens: recipe.tokens,
    rank: purpose === 'train' ? adapter.rank : null,
    form: adapter.form,
  }
  const verdict = await new MemoryPlanner(await readModelOutline(sources), executor).verdict(work, room)
  if (verdict.fits) return verdict.windows
  const { lack, instead } = verdict
  const sentence =
    purpose === 'train' ? problems.modelTooLarge(lack, instead) : problems.modelTooLargeToMeasure(lack)
  throw new PageError('model/too-large', sentence)
}
