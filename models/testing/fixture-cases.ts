/** A fixture's model opened and its cases, whichever family it is of. */

import type { Engine } from '../backend/engine.ts'
import type { Comparison } from './comparison.ts'
import { diffusionCases, openDiffusionFixture } from './diffusion-fixtures.ts'
import type { DiffusionFixture, FixtureModel, FixtureSet } from './fixture-set.ts'
import { loadLlama } from './llama.ts'
import { llamaCases } from './llama-fixtures.ts'

const isDiffusion = (name: FixtureModel): name is DiffusionFixture => name.startsWith('emoji-dit')

export const caseTitles = (name: FixtureModel): string[] =>
  Object.keys(isDiffusion(name) ? diffusionCases(name) : llamaCases(name))

export interface OpenedFixture {
  readonly cases: Readonly<Record<string, () => Promise<Comparison[]>>>
  dispose(): void
}

/** What each case shows, as a function that runs it on the engine. */
export function openFixture(engine: Engine, fixtures: FixtureSet, name: FixtureModel): OpenedFixture {
  const bound = <Context>(
    cases: Readonly<Record<string, (context: Context) => Promise<Comparison[]>>>,
    context: Context,
  ) => Object.fromEntries(Object.entries(cases).map(([title, run]) => [title, () => run(context)]))
  if (isDiffusion(name)) {
    const model = openDiffusionFixture(engine, fixtures, name)
    return { cases: bound(diffusionCases(name), { model, fixtures }), dispose: () => model.dispose() }
  }
  const { model, dispose } = loadLlama(engine, fixtures.modelFiles(name))
  return { cases: bound(llamaCases(name), { model, fixtures }), dispose }
}
