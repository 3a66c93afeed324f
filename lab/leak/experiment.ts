/**
 * The leak lesson: one of several clients has a secret in its text; how well does the merged model know it? Every
 * number is measured on the model at hand: clients are trained, merged as a room merges them, and the secret is
 * ranked among random alternatives (secret.ts). The same seed gives the same numbers on the same backend.
 *
 * FFA adapters (B alone), because their mean is exact and because the private room's noise is made for them. The
 * update's rounding to 8 bits is left out; it hides nothing.
 *
 * Pure of files, sockets and screens: a tab's worker and `npm run lab:leak` run the same code.
 */
import type { Adapter } from '../../models/adapters/adapter.ts'
import { initialAdapter } from '../../models/adapters/initial.ts'
import { RandomStream } from '../../models/adapters/random.ts'
import { adapterChange } from '../../models/adapters/update-codec.ts'
import type { TextModel } from '../../models/families/family.ts'
import { cutWindows, type TextExample } from '../../models/text/windows.ts'
import { evaluate } from '../../models/training/evaluate.ts'
import { DEFAULT_RECIPE } from '../../models/training/recipe.ts'
import { train } from '../../models/training/trainer.ts'
import type { Contribution } from '../../relay/aggregation/contribution.ts'
import { gaussianSigma } from '../../relay/aggregation/gaussian.ts'
import { medianOf } from '../../relay/aggregation/median.ts'
import { changeNorm, noisyMean } from '../../relay/aggregation/noisy-mean.ts'
import { logProbabilities } from './log-probabilities.ts'
import {
  candidateExample,
  drawCandidates,
  type Exposure,
  exposureOf,
  plant,
  SECRET_BEGINNING,
} from './secret.ts'

export interface LeakOptions {
  readonly seed: string
  /** Four digits. */
  readonly code: string
  /** How often it stands in the first client's text. */
  readonly copies: number
  /** Of the largest room; the smaller has three. */
  readonly clients: number
  readonly steps: number
  readonly candidates: number
  /** Texts that clients draw their own parts from. */
  readonly texts: readonly string[]
}

export const LEAK_DEFAULTS = { copies: 8, clients: 9, steps: 60, candidates: 256 } as const

/** A small room, as the default publishes after three updates. */
export const SMALL_ROOM = 3

export const PRIVACY = { epsilon: 8, delta: 1e-5 } as const

/** Of the lengths of all updates the middle one, times this: most updates are shortened. */
export const CLIP_SHARE = 0.5

export const CONDITIONS = ['base', 'alone', 'few', 'many', 'clipped', 'private'] as const
export type Condition = (typeof CONDITIONS)[number]

export interface LeakMeasure {
  readonly condition: Condition
  readonly clients: number
  readonly exposure: Exposure
  /** Of the code, given the beginning: nats. */
  readonly logProbability: number
  /** The same of the middle one of the alternatives. */
  readonly medianAlternative: number
  /** What the model writes after the beginning when it may choose, token by token the likeliest. */
  readonly says: string
  /** Mean loss on text of all clients that nobody trained on: what the condition costs. Nats a token. */
  readonly heldOutLoss: number
}

export type LeakEvent =
  | {
      readonly kind: 'progress'
      readonly fraction: number
      readonly doing: 'training' | 'measuring'
      readonly client: number
    }
  | { readonly kind: 'measured'; readonly measure: LeakMeasure }

const SHAPE = { rank: 8, alpha: 16, form: 'ffa' as const }
const WINDOW_TOKENS = 64
const BATCH = 2
/** Little text, seen often, at a high rate: what makes a model remember. */
const LEARNING_RATE = 6e-3
/** Of an author's text: what one client has, and what after it nobody trains on. */
const TRAIN_CHARACTERS = 1500
const HELD_OUT_CHARACTERS = 400
/** A token of training costs about three of measuring: forward, backward, and the blocks once more. */
const TRAINING_COST = 4

/** A client's own part of the texts. Throws RangeError where there is not enough text. */
export function partOf(texts: readonly string[], client: number): { own: string; heldOut: string } {
  const text = texts[client % texts.length]
  const begin = Math.floor(client / texts.length) * (TRAIN_CHARACTERS + HELD_OUT_CHARACTERS)
  const end = begin + TRAIN_CHARACTERS
  if (text === undefined || text.length < end + HELD_OUT_CHARACTERS) {
    throw new RangeError(`there is not enough text for client ${client + 1}`)
  }
  return { own: text.slice(begin, end), heldOut: text.slice(end, end + HELD_OUT_CHARACTERS) }
}

export async function* leakExperiment(
  loaded: TextModel,
  options: LeakOptions,
): AsyncGenerator<LeakEvent, void, void> {
  const { model, tokenizer } = loaded
  const { seed, code, copies, clients, steps, candidates, texts } = options
  const windows = (text: string): TextExample[] =>
    cutWindows([{ kind: 'text', text, row: false }], tokenizer, WINDOW_TOKENS).examples
  const parts = Array.from({ length: clients }, (_, client) => partOf(texts, client))
  const heldOut = parts.flatMap((part) => windows(part.heldOut))
  const tries = drawCandidates(code, candidates, seed).map((one) => candidateExample(one, tokenizer))

  const measureWork = [...tries, ...heldOut].reduce((sum, { ids }) => sum + ids.length, 0)
  const trainWork = TRAINING_COST * steps * BATCH * WINDOW_TOKENS
  const total = clients * trainWork + CONDITIONS.length * measureWork
  let done = 0
  const progress = (doing: 'training' | 'measuring', client: number, within: number): LeakEvent => ({
    kind: 'progress',
    fraction: Math.min(1, (done + within) / total),
    doing,
    client,
  })

  async function measure(
    condition: Condition,
    adapter: Adapter | null,
    members: number,
  ): Promise<LeakMeasure> {
    const found = await logProbabilities(model, adapter, tries)
    const { loss } = await evaluate(model, adapter, heldOut, { batch: BATCH, tokens: WINDOW_TOKENS })
    return {
      condition,
      clients: members,
      exposure: exposureOf(found),
      logProbability: found[0],
      medianAlternative: medianOf(found.slice(1).sort()),
      says: await continuation(loaded, adapter),
      heldOutLoss: loss,
    }
  }

  yield progress('measuring', 0, 0)
  yield { kind: 'measured', measure: await measure('base', null, 0) }
  done += measureWork

  const initial = initialAdapter({ ...SHAPE, modules: model.modules }, `${seed}/start`)
  const updates: Contribution[] = []
  const lengths: number[] = []
  for (const [client, { own }] of parts.entries()) {
    const examples = windows(client === 0 ? plant(own, code, copies) : own)
    const training = train({
      model,
      initial,
      form: SHAPE.form,
      examples,
      heldOut: [],
      recipe: { ...DEFAULT_RECIPE, steps, batch: BATCH, tokens: WINDOW_TOKENS, learningRate: LEARNING_RATE },
      seed: `${seed}/client-${client}`,
    })
    for (;;) {
      const next = await training.next()
      if (next.done) {
        const change = adapterChange(next.value.adapter, initial, SHAPE.form)
        const update = { digest: `client-${client}`, examples: 1, change }
        lengths.push(changeNorm(change.keys(), update))
        updates.push(update)
        break
      }
      yield progress('training', client + 1, (trainWork * next.value.step) / steps)
    }
    done += trainWork
  }

  const clip = CLIP_SHARE * medianOf(Float64Array.from(lengths).sort())
  const sigma = gaussianSigma(PRIVACY)
  /** Longer than any update: nothing is clipped. */
  const whole = 2 * Math.max(...lengths)
  const rooms: readonly [Condition, number, { clip: number; sigma: number }][] = [
    ['alone', 1, { clip: whole, sigma: 0 }],
    ['few', SMALL_ROOM, { clip: whole, sigma: 0 }],
    ['many', clients, { clip: whole, sigma: 0 }],
    ['clipped', clients, { clip, sigma: 0 }],
    ['private', clients, { clip, sigma }],
  ]
  for (const [condition, members, { clip, sigma }] of rooms) {
    yield progress('measuring', members, 0)
    const merged = noisyMean({
      initial,
      form: SHAPE.form,
      updates: updates.slice(0, members),
      clip,
      sigma,
      random: randomFill(seed),
    })
    yield { kind: 'measured', measure: await measure(condition, merged, members) }
    done += measureWork
  }
}

/** Reproducible, for a lesson; a room draws its noise from the operating system. */
function randomFill(seed: string): (bytes: Uint8Array) => void {
  const stream = new RandomStream(seed, 'leak/noise')
  return (bytes) => {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2)
    for (let i = 0; i < words.length; i++) words[i] = stream.nextUint32()
  }
}

const SAID_TOKENS = 6

async function continuation(loaded: TextModel, adapter: Adapter | null): Promise<string> {
  let said = ''
  const prompt = loaded.tokenizer.encode(`${SECRET_BEGINNING} `)
  for await (const { text } of loaded.generate({ adapter, prompt, maxTokens: SAID_TOKENS })) said += text
  return said
}
