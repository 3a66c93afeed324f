/**
 * Greedy generation from the same prompt through this engine's cache and through plain tfjs's, on one adapter: how long the
 * first token takes, how fast the prompt is taken in, and how fast tokens follow. Contestants take turns, and must choose the
 * same tokens.
 */
import type { Engine } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { Generator } from '../../models/text/generate.ts'
import type { Part, Section } from '../agenda.ts'
import { onProcessor, type Place, placeOf } from '../conditions.ts'
import { generationFlops } from '../counts.ts'
import { type BenchModel, smolLm2Model, tinyModel } from '../models.ts'
import { plainGeneration } from '../plain/generation.ts'
import type { BenchContext } from '../section.ts'
import { type Lap, medianLap, type Spread, spread, startClocks, workMs } from '../timing.ts'
import { takeTurns } from '../turns.ts'

export interface GenerationResult extends Place {
  readonly model: string
  readonly contestant: string
  /** Texts that were timed, after one that compiles kernels. */
  readonly texts: number
  readonly promptTokens: number
  /** From the call until the first token is there, by the wall: the whole prompt and one choice. */
  readonly firstTokenMs: Spread
  readonly promptTokensPerSecond: number
  /** Those that follow the first. */
  readonly decodedTokens: number
  readonly decodeTokensPerSecond: number
  /** By processor time, all threads. */
  readonly promptTokensPerCpuSecond: number
  readonly decodeTokensPerCpuSecond: number
  /** By the place's clock. */
  readonly decodeGflops: number
  readonly tokens: readonly number[]
}

/** How many times faster this engine's decoding and prompt are than plain tfjs's beside it, text by text. */
interface AgainstPlain {
  readonly decodeByWall: Spread
  readonly decodeByCpu: Spread
  readonly promptByWall: Spread
  readonly promptByCpu: Spread
}

export interface GenerationReport {
  readonly results: readonly GenerationResult[]
  /** By model and backend. */
  readonly againstPlain: Readonly<Record<string, AgainstPlain>>
}

const PROMPT_TOKENS = 33
const DECODED = 16
/** Timed texts at most. */
const MOST_TEXTS = 3

interface Contestant {
  readonly name: string
  readonly place: Place
  readonly engine: Engine
  stream(prompt: readonly number[], count: number): AsyncGenerator<number>
  dispose(): void
}

/** One text's times. */
interface Text {
  readonly first: Lap
  readonly rest: Lap
  readonly tokens: readonly number[]
}

export function generateSection(context: BenchContext): Section {
  const { webgpu, wasm, own, smolLm2, shapes } = context
  const results: GenerationResult[] = []
  const againstPlain: Record<string, AgainstPlain> = {}
  const take = async (model: BenchModel, backend: string, contestants: readonly Contestant[]) => {
    const raced = await race(model, contestants, context)
    results.push(...raced.results)
    if (raced.againstPlain) againstPlain[`${model.name} ${backend}`] = raced.againstPlain
  }
  const models = [
    ...(shapes === null || shapes.includes('tiny')
      ? [{ name: 'tiny', make: tinyModel, seconds: [20, 2] as const }]
      : []),
    ...(smolLm2
      ? [{ name: 'smollm2-135m', make: async () => smolLm2Model(smolLm2), seconds: [90, 12] as const }]
      : []),
  ]
  const parts = models.flatMap(({ name, make, seconds }): Part[] => [
    ...(webgpu
      ? [
          {
            name: `${name}, WebGPU`,
            seconds: seconds[0],
            run: async () => {
              const model = await make()
              await take(model, 'webgpu', [
                await ownContestant(webgpu.plan, model),
                ...(own ? [] : [await plainContestant(webgpu.plain, model)]),
              ])
            },
          },
        ]
      : []),
    ...(wasm
      ? [
          {
            name: `${name}, wasm`,
            seconds: seconds[1],
            run: async () => {
              const model = await make()
              const engine = await createNodeEngine({ backend: 'wasm' })
              await take(model, 'wasm', [
                await ownContestant(engine, model),
                // Both at once do not fit what WebAssembly can address.
                ...(name === 'tiny' && !own ? [await plainContestant(engine, model)] : []),
              ])
              await engine.dispose()
            },
          },
        ]
      : []),
  ])
  return { parts, report: (): GenerationReport => ({ results, againstPlain }) }
}

async function ownContestant(engine: Engine, model: BenchModel): Promise<Contestant> {
  const loaded = await model.load(engine)
  const generator = new Generator(loaded.model, loaded.tokenizer)
  return {
    name: `oneround (${engine.executor})`,
    place: placeOf(engine),
    engine,
    async *stream(prompt, count) {
      const options = { adapter: null, prompt: [...prompt], maxTokens: count, temperature: 0, stopIds: [] }
      for await (const { id } of generator.generate(options)) yield id
    },
    dispose() {
      generator.dispose()
      loaded.dispose()
    },
  }
}

async function plainContestant(engine: Engine, model: BenchModel): Promise<Contestant> {
  // Makes the engine's backend tfjs's current one.
  await engine.finish()
  const plain = plainGeneration(model.config, await model.unpacked())
  return {
    name: 'plain tfjs',
    place: placeOf(engine, 'tfjs'),
    engine,
    async *stream(prompt, count) {
      await engine.finish()
      yield* plain.tokens(prompt, count)
    },
    dispose: () => plain.dispose(),
  }
}

async function race(
  { name: model, config }: BenchModel,
  contestants: readonly Contestant[],
  { seconds, log }: BenchContext,
): Promise<{ results: GenerationResult[]; againstPlain: AgainstPlain | null }> {
  const prompt = Array.from({ length: PROMPT_TOKENS }, (_, i) => (i * 37 + 11) % config.vocabularySize)
  const texts = await takeTurns(
    contestants.map((contestant) => async (round: number): Promise<Text> => {
      // Kernels are compiled for one token after the prompt.
      const text = await write(contestant, prompt, round === 0 ? 2 : DECODED + 1)
      log(
        `generate: ${model}, ${contestant.name} on ${contestant.place.device}: first token ${text.first.wallMs.toFixed(0)} ms, ${text.tokens.length - 1} more in ${text.rest.wallMs.toFixed(0)} ms${round === 0 ? ' (first)' : ''}`,
      )
      return text
    }),
    { most: MOST_TEXTS, budgetMs: seconds * 1000 * contestants.length },
  )
  for (const contestant of contestants) contestant.dispose()
  const timed = texts.map((all) => all.slice(1))
  for (const { tokens } of timed.flat()) {
    const [[{ tokens: expected }]] = timed
    if (tokens.join() !== expected.join())
      throw new Error(`other tokens: ${expected} and ${tokens}; not the same work`)
  }
  const flops = Array.from({ length: DECODED }, (_, i) =>
    generationFlops(config, PROMPT_TOKENS + i, 1),
  ).reduce((sum, count) => sum + count, 0)
  const results = contestants.map(({ name, place, engine }, which): GenerationResult => {
    const own = timed[which]
    const [first, rest] = [medianLap(own.map(({ first }) => first)), medianLap(own.map(({ rest }) => rest))]
    return {
      ...place,
      model,
      contestant: name,
      texts: own.length,
      promptTokens: PROMPT_TOKENS,
      firstTokenMs: spread(own.map(({ first }) => first.wallMs)),
      promptTokensPerSecond: (PROMPT_TOKENS * 1000) / first.wallMs,
      promptTokensPerCpuSecond: (PROMPT_TOKENS * 1000) / first.cpuMs,
      decodedTokens: DECODED,
      decodeTokensPerSecond: (DECODED * 1000) / rest.wallMs,
      decodeTokensPerCpuSecond: (DECODED * 1000) / rest.cpuMs,
      decodeGflops: flops / workMs(rest, onProcessor(engine)) / 1e6,
      tokens: own[0].tokens,
    }
  })
  const [own, plain] = timed
  const ratios = (pick: (text: Text) => number) =>
    spread(plain.map((text, round) => pick(text) / pick(own[round])))
  return {
    results,
    againstPlain: plain
      ? {
          decodeByWall: ratios(({ rest }) => rest.wallMs),
          decodeByCpu: ratios(({ rest }) => rest.cpuMs),
          promptByWall: ratios(({ first }) => first.wallMs),
          promptByCpu: ratios(({ first }) => first.cpuMs),
        }
      : null,
  }
}

async function write({ stream }: Contestant, prompt: readonly number[], count: number): Promise<Text> {
  const tokens: number[] = []
  const read = startClocks()
  let first: Lap = { wallMs: 0, cpuMs: 0 }
  for await (const id of stream(prompt, count)) {
    if (tokens.length === 0) first = read()
    tokens.push(id)
  }
  const all = read()
  return { first, rest: { wallMs: all.wallMs - first.wallMs, cpuMs: all.cpuMs - first.cpuMs }, tokens }
}
