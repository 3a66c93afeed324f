/**
 * Puts an adapter's numbers on an engine and back. What is trained lies in one ParameterSet, what the training form
 * leaves alone in another, which never gets gradients or moments.
 */
import {
  type Adapter,
  type AdapterForm,
  factorsOf,
  formOf,
  type LoraFactors,
  loraA,
  loraB,
  loraR,
} from '../adapters/adapter.ts'
import type { Engine } from '../backend/engine.ts'
import { MismatchError } from '../errors.ts'
import type { Factor, LoraPath } from '../ops/ops.ts'
import type { EngineAdapter, Model } from './model.ts'

/** The caller owns the result and disposes of it. Without a form, the adapter's own (FFA's looks like LoRA's). */
export function placeAdapter(
  engine: Engine,
  adapter: Adapter,
  form: AdapterForm = formOf(adapter),
): EngineAdapter {
  // All As, then all Bs, then all Rs: those of neighbouring layers lie side by side, and an engine may take them as one.
  const byModule = [...adapter.modules.values()].map((factors) => factorsOf(factors, form))
  const all = [0, 1, 2].flatMap((kind) => byModule.flatMap((factors) => factors[kind] ?? []))
  const place = (trained: boolean) => {
    const chosen = all.filter((factor) => factor.trained === trained)
    const set = engine.parameters(chosen)
    set.write(new Map(chosen.map(({ name, values }) => [name, values])))
    return set
  }
  const parameters = place(true)
  const frozen = all.every(({ trained }) => trained) ? null : place(false)
  return {
    parameters,
    frozen,
    modules: adapter.modules,
    dispose() {
      parameters.dispose()
      frozen?.dispose()
    },
  }
}

/** Adapters with the same signature can take each other's place on an engine. */
export const adapterSignature = (adapter: Adapter): string =>
  [...adapter.modules.values()]
    .map(({ name, rank, alpha, r }) => `${name} ${rank} ${alpha}${r ? ' core' : ''}`)
    .join('\n')

/** Writes another adapter of the same signature over the one that is placed. */
export function replaceAdapter({ parameters, frozen }: EngineAdapter, adapter: Adapter): void {
  const form = formOf(adapter)
  const all = [...adapter.modules.values()].flatMap((factors) => factorsOf(factors, form))
  for (const set of [parameters, frozen]) {
    if (!set) continue
    const own = all.filter(({ name }) => set.parameters.has(name))
    set.write(new Map(own.map(({ name, values }) => [name, values])))
  }
}

/** Reads the trained factors back, shaped like `like`; the frozen ones are `like`'s. */
export async function readAdapter(placed: EngineAdapter, like: Adapter): Promise<Adapter> {
  const values = await placed.parameters.read()
  const modules = new Map<string, LoraFactors>()
  for (const factors of like.modules.values()) {
    const r = values.get(loraR(factors.name)) ?? factors.r
    modules.set(factors.name, {
      ...factors,
      a: values.get(loraA(factors.name)) ?? factors.a,
      b: values.get(loraB(factors.name)) ?? factors.b,
      ...(r && { r }),
    })
  }
  return { modules }
}

/** The low-rank path of one module, or none where the adapter leaves that module alone. */
export function loraPath(adapter: EngineAdapter | null, module: string): LoraPath | undefined {
  const entry = adapter?.modules.get(module)
  if (!adapter || !entry) return undefined
  const a = factorOf(adapter, loraA(module))
  const b = factorOf(adapter, loraB(module))
  const r = factorOf(adapter, loraR(module))
  if (!a || !b)
    throw new MismatchError('adapter/incomplete', `The adapter names ${module} but holds no factors for it.`)
  return { a, b, ...(r && { r }), scale: entry.alpha / entry.rank }
}

function factorOf({ parameters, frozen }: EngineAdapter, name: string): Factor | undefined {
  const parameter = parameters.parameters.get(name)
  if (parameter) return parameter
  const held = frozen?.parameters.get(name)
  return held && { frozen: true, shape: held.shape, value: held.value }
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
