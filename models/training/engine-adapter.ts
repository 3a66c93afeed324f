/**
 * Puts an adapter's numbers on an engine and back: the trainable factors of a `Model`, as one ParameterSet.
 */
import { type Adapter, type LoraFactors, loraA, loraB } from '../adapters/adapter.ts'
import type { Engine } from '../backend/engine.ts'
import { MismatchError } from '../errors.ts'
import type { LoraPath } from '../ops/ops.ts'
import type { EngineAdapter, Model } from './model.ts'

/** The caller owns the result and frees it with `parameters.dispose()`. */
export function placeAdapter(engine: Engine, adapter: Adapter): EngineAdapter {
  const specs: { name: string; shape: readonly [number, number] }[] = []
  const values = new Map<string, Float32Array>()
  for (const factors of adapter.modules.values()) {
    specs.push({ name: loraA(factors.name), shape: [factors.rank, factors.inFeatures] })
    specs.push({ name: loraB(factors.name), shape: [factors.outFeatures, factors.rank] })
    values.set(loraA(factors.name), factors.a)
    values.set(loraB(factors.name), factors.b)
  }
  const parameters = engine.parameters(specs)
  parameters.write(values)
  return { parameters, modules: adapter.modules }
}

/** Reads the trained factors back, shaped like `like`. */
export async function readAdapter(placed: EngineAdapter, like: Adapter): Promise<Adapter> {
  const values = await placed.parameters.read()
  const modules = new Map<string, LoraFactors>()
  for (const factors of like.modules.values()) {
    modules.set(factors.name, {
      ...factors,
      a: values.get(loraA(factors.name))!,
      b: values.get(loraB(factors.name))!,
    })
  }
  return { modules }
}

/** The low-rank path of one module, or none where the adapter leaves that module alone. */
export function loraPath(adapter: EngineAdapter | null, module: string): LoraPath | undefined {
  const entry = adapter?.modules.get(module)
  if (!adapter || !entry) return undefined
  const a = adapter.parameters.parameters.get(loraA(module))
  const b = adapter.parameters.parameters.get(loraB(module))
  if (!a || !b)
    throw new MismatchError('adapter/incomplete', `The adapter names ${module} but holds no factors for it.`)
  return { a, b, scale: entry.alpha / entry.rank }
}

/** Refuses an adapter that was made for another base, before anything of it reaches the device. */
export function checkAdapterFits(model: Pick<Model, 'modules'>, adapter: Adapter): void {
  const known = new Map(model.modules.map((module) => [module.name, module]))
  for (const factors of adapter.modules.values()) {
    const module = known.get(factors.name)
    if (!module) {
      throw new MismatchError(
        'adapter/unknown-module',
        `The adapter changes ${factors.name}, which this base model does not have; use the base it was trained on.`,
      )
    }
    if (module.inFeatures !== factors.inFeatures || module.outFeatures !== factors.outFeatures) {
      throw new MismatchError(
        'adapter/wrong-shape',
        `The adapter's ${factors.name} is ${factors.outFeatures} x ${factors.inFeatures}, the base model's is ${module.outFeatures} x ${module.inFeatures}; use the base it was trained on.`,
      )
    }
  }
}
