/** The room in which the relay's benches send updates: one manifest but for the model's size and the strategy. */
import type { AdapterShape } from '../models/adapters/adapter.ts'
import { updateBytes } from '../models/adapters/update-codec.ts'
import { createManifest } from '../relay/protocol/create-manifest.ts'
import type { Manifest } from '../relay/protocol/manifest.ts'
import type { Strategy } from '../relay/protocol/strategy.ts'
import { SAMPLE_RECIPE } from '../relay/protocol/testing/recipe.ts'

export function benchManifest(room: {
  readonly base: Pick<Manifest['base'], 'id' | 'digest' | 'files'>
  readonly adapter: AdapterShape
  readonly strategy: Strategy
  readonly publishEvery?: number
}): Manifest {
  const { base, adapter, strategy, publishEvery } = room
  return createManifest({
    room: 'bench',
    title: 'Bench',
    base: { ...base, family: 'llama', license: 'Apache-2.0' },
    adapter: { ...adapter, modules: [...adapter.modules], seed: 'bench' },
    recipe: SAMPLE_RECIPE,
    updateBytes: updateBytes(adapter, 'i8'),
    strategy,
    ...(publishEvery === undefined ? {} : { publishEvery }),
  })
}
