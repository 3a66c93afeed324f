/**
 * A training run as bytes, between two steps: the adapter, both moments of the optimiser, the best adapter so
 * far and how far the run is. A safetensors file; resuming on the same backend gives the same bits as never
 * having stopped. The order of examples depends on seed and step alone (example-order.ts), so it needs no state.
 *
 * Tensors, each under PEFT's name: `value/NAME`; of what the form trains also `first/NAME`, `second/NAME`, and
 * `best/NAME` where there is a best. Metadata: format, version, `state` (JSON).
 */
import {
  type Adapter,
  type AdapterForm,
  factorSpecs,
  factorsOf,
  type LoraFactors,
} from '../adapters/adapter.ts'
import { FormatError, MismatchError } from '../errors.ts'
import {
  bytesOf,
  parseSafetensors,
  type SafetensorsInput,
  toFloat32,
  writeSafetensors,
} from '../formats/safetensors.ts'
import type { Recipe } from './recipe.ts'

const FORMAT = 'oneround-checkpoint'
const VERSION = '2'

const FORMS: readonly AdapterForm[] = ['lora', 'ffa', 'lora-sb']

/** What makes two runs the same run. */
export interface RunIdentity {
  readonly recipe: Recipe
  readonly seed: string
  readonly form: AdapterForm
  readonly examples: number
  /** Targets that count, over all examples: changes when the data do. */
  readonly counted: number
}

export interface BestAdapter {
  readonly step: number
  readonly heldOutLoss: number
  readonly adapter: Adapter
}

export interface Checkpoint {
  readonly run: RunIdentity
  /** Steps done. */
  readonly step: number
  /** Tokens trained on so far, padding excluded. */
  readonly tokens: number
  /** Seconds of training so far, without pauses. */
  readonly seconds: number
  readonly heldOutLoss: number | null
  readonly adapter: Adapter
  readonly first: ReadonlyMap<string, Float32Array>
  readonly second: ReadonlyMap<string, Float32Array>
  /** The lowest held-out loss so far; the start's, measured before the first step, is the first. */
  readonly best: BestAdapter | null
  /** Held-out loss of where training started; null without held-out examples. */
  readonly startLoss: number | null
}

interface State {
  readonly run: RunIdentity
  readonly step: number
  readonly tokens: number
  readonly seconds: number
  readonly heldOutLoss: number | null
  readonly modules: readonly { name: string; in: number; out: number; rank: number; alpha: number }[]
  readonly best: { readonly step: number; readonly heldOutLoss: number } | null
  readonly startLoss: number | null
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const { run, step, tokens, seconds, heldOutLoss, startLoss, adapter, best } = checkpoint
  const modules = [...adapter.modules.values()]
  const state: State = {
    run,
    step,
    tokens,
    seconds,
    heldOutLoss,
    startLoss,
    modules: modules.map(({ name, inFeatures, outFeatures, rank, alpha }) => ({
      name,
      in: inFeatures,
      out: outFeatures,
      rank,
      alpha,
    })),
    best: best && { step: best.step, heldOutLoss: best.heldOutLoss },
  }
  const tensors: SafetensorsInput[] = []
  for (const module of modules) {
    const bestModule = best?.adapter.modules.get(module.name)
    const bestFactors = bestModule && factorsOf(bestModule, run.form)
    for (const [i, { name, shape, trained, values }] of factorsOf(module, run.form).entries()) {
      const parts: [string, Float32Array | undefined][] = [['value', values]]
      if (trained) {
        parts.push(['first', checkpoint.first.get(name)], ['second', checkpoint.second.get(name)])
        if (bestFactors) parts.push(['best', bestFactors[i].values])
      }
      for (const [part, numbers] of parts) {
        if (!numbers)
          throw new MismatchError('checkpoint/incomplete', `The checkpoint has no ${part} of ${name}.`)
        tensors.push({ name: `${part}/${name}`, dtype: 'F32', shape, bytes: bytesOf(numbers) })
      }
    }
  }
  return writeSafetensors(tensors, { format: FORMAT, version: VERSION, state: JSON.stringify(state) })
}

/** Throws FormatError `checkpoint/malformed` for anything but what `encodeCheckpoint` writes. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const { tensors, metadata } = parseSafetensors(bytes)
  if (metadata.get('format') !== FORMAT || metadata.get('version') !== VERSION) {
    throw malformed('it is of another kind or version')
  }
  const state = parseState(metadata.get('state') ?? '')
  const read = (part: string, name: string, length: number): Float32Array => {
    const tensor = tensors.get(`${part}/${name}`)
    if (tensor?.dtype !== 'F32') throw malformed(`${part}/${name} is missing`)
    const values = toFloat32(tensor)
    if (values.length !== length)
      throw malformed(`${part}/${name} has ${values.length} entries, not ${length}`)
    return values
  }
  const { run, step, tokens, seconds, heldOutLoss, startLoss, best } = state
  const specsOf = ({ name, in: inFeatures, out: outFeatures, rank }: State['modules'][number]) =>
    factorSpecs({ name, inFeatures, outFeatures }, rank, run.form)
  /** `part` of what is trained, and the value of what is not. */
  const adapterOf = (part: string): Adapter => {
    const modules = new Map<string, LoraFactors>()
    for (const module of state.modules) {
      const { name, in: inFeatures, out: outFeatures, rank, alpha } = module
      const [a, b, r] = specsOf(module).map((spec) =>
        read(spec.trained ? part : 'value', spec.name, spec.shape[0] * spec.shape[1]),
      )
      modules.set(name, { name, inFeatures, outFeatures, rank, alpha, a, b, ...(r && { r }) })
    }
    return { modules }
  }
  const momentsOf = (part: string) =>
    new Map(
      state.modules
        .flatMap(specsOf)
        .filter(({ trained }) => trained)
        .map(({ name, shape }) => [name, read(part, name, shape[0] * shape[1])] as const),
    )
  return {
    run,
    step,
    tokens,
    seconds,
    heldOutLoss,
    startLoss,
    adapter: adapterOf('value'),
    first: momentsOf('first'),
    second: momentsOf('second'),
    best: best && { ...best, adapter: adapterOf('best') },
  }
}

/** Refuses to go on with another run's numbers. */
export function checkSameRun(checkpoint: Checkpoint, run: RunIdentity): void {
  // Recipes are compared by field: the order of their keys may differ.
  const sameRecipe = (Object.keys(run.recipe) as (keyof Recipe)[]).every(
    (name) => run.recipe[name] === checkpoint.run.recipe[name],
  )
  const { seed, form, examples, counted } = checkpoint.run
  if (
    !sameRecipe ||
    seed !== run.seed ||
    form !== run.form ||
    examples !== run.examples ||
    counted !== run.counted
  ) {
    throw new MismatchError(
      'checkpoint/other-run',
      'The saved progress belongs to other data or another recipe; start training anew.',
    )
  }
}

function parseState(json: string): State {
  let state: Partial<State>
  try {
    state = JSON.parse(json) as Partial<State>
  } catch (cause) {
    throw malformed('its state is not JSON', cause)
  }
  const wholeNumbers = [state?.step, state?.tokens, state?.run?.examples, state?.run?.counted]
  const sound =
    wholeNumbers.every((number) => Number.isSafeInteger(number) && number! >= 0) &&
    typeof state.seconds === 'number' &&
    typeof state.run?.seed === 'string' &&
    FORMS.includes(state.run.form) &&
    typeof state.run.recipe === 'object' &&
    state.run.recipe !== null &&
    [state.heldOutLoss, state.startLoss].every((loss) => loss === null || typeof loss === 'number') &&
    (state.best === null ||
      (Number.isSafeInteger(state.best?.step) && typeof state.best?.heldOutLoss === 'number')) &&
    Array.isArray(state.modules) &&
    state.modules.every(
      (module) =>
        typeof module?.name === 'string' &&
        typeof module.alpha === 'number' &&
        [module.in, module.out, module.rank].every((side) => Number.isSafeInteger(side) && side > 0),
    )
  if (!sound) throw malformed('its state lacks something')
  return state as State
}

const malformed = (what: string, cause?: unknown) =>
  new FormatError(
    'checkpoint/malformed',
    `The saved progress cannot be read: ${what}; start training anew.`,
    { cause },
  )
