/**
 * Text generation with a KV cache: the prompt goes through in chunks of fixed size, then one token a replay.
 *
 * A chunk may run past the prompt's end: the surplus rows write keys and values at positions that are written
 * again before any later query can attend to them, so two programs (a chunk, one token) serve every length.
 */
import type { Adapter } from '../adapters/adapter.ts'
import { RandomStream } from '../adapters/random.ts'
import type { Program } from '../backend/engine.ts'
import { DataError } from '../errors.ts'
import { checkAdapterFits, placeAdapter } from '../training/engine-adapter.ts'
import type { LlamaModel } from './model.ts'
import type { Tokenizer } from './tokenizer.ts'

const PREFILL_ROWS = 32

export interface GenerateOptions {
  readonly model: LlamaModel
  readonly tokenizer: Tokenizer
  readonly adapter: Adapter | null
  /** Token ids; at least one. */
  readonly prompt: readonly number[]
  readonly maxTokens: number
  /** 0 is greedy: always the likeliest token. */
  readonly temperature?: number
  /** Samples from the fewest likeliest tokens whose probabilities reach this sum. */
  readonly topP?: number
  readonly seed?: string
  /** Generation ends at these ids, which are not yielded; default: the tokenizer's end token. */
  readonly stopIds?: readonly number[]
  readonly signal?: AbortSignal
}

export interface GeneratedToken {
  readonly id: number
  /** Text that became certain with this token; empty while a character is incomplete. */
  readonly text: string
  /** Lead of the likeliest logit over the second, for comparing engines. */
  readonly margin: number
}

export async function* generate(options: GenerateOptions): AsyncGenerator<GeneratedToken> {
  const { model, tokenizer, prompt, signal } = options
  const { engine, config } = model
  if (prompt.length === 0)
    throw new DataError('prompt/empty', 'The prompt is empty; write at least one word.')
  const room = config.maxPositions - prompt.length
  if (room < 1) {
    throw new DataError(
      'prompt/too-long',
      `The prompt has ${prompt.length} tokens, this model takes ${config.maxPositions - 1}; shorten it.`,
    )
  }
  for (const id of prompt) {
    if (!Number.isInteger(id) || id < 0 || id >= config.vocabularySize) {
      throw new DataError(
        'prompt/unknown-token',
        `The prompt holds token ${id}, outside this model's vocabulary.`,
      )
    }
  }
  if (options.adapter) checkAdapterFits(model, options.adapter)
  const tokens = Math.min(options.maxTokens, room)
  const stopIds = new Set(options.stopIds ?? [tokenizer.eosId])
  const random = new RandomStream(options.seed ?? '0', 'generate')

  // Surplus rows of the last chunk need somewhere to write, hence the chunk on top.
  const capacity = prompt.length + tokens + PREFILL_ROWS
  const width = config.kvHeads * config.headDim
  const placed = options.adapter ? placeAdapter(engine, options.adapter) : null
  const caches = Array.from({ length: config.layers }, () => engine.kvCache(capacity, width))
  const programs: Program[] = []
  try {
    const inputs = (rows: number) =>
      [
        { name: 'ids', shape: [rows], dtype: 'int32' },
        { name: 'positions', shape: [rows], dtype: 'int32' },
      ] as const
    if (prompt.length > 1) {
      const prefill = await engine.program('prefill', inputs(PREFILL_ROWS), (ops, given) => {
        model.extend(ops, given, caches, placed)
        return {}
      })
      programs.push(prefill)
      for (let start = 0; start < prompt.length - 1; start += PREFILL_ROWS) {
        signal?.throwIfAborted()
        const ids = new Int32Array(PREFILL_ROWS)
        const positions = new Int32Array(PREFILL_ROWS)
        for (let row = 0; row < PREFILL_ROWS; row++) {
          ids[row] = prompt[Math.min(start + row, prompt.length - 1)]
          // The rotary table ends at maxPositions; surplus rows stay inside it and inside the cache.
          positions[row] = Math.min(start + row, config.maxPositions - 1)
        }
        await prefill.run({ ids, positions })
      }
    }
    const decode = await engine.program('decode', inputs(1), (ops, given) => ({
      logits: model.nextLogits(ops, model.extend(ops, given, caches, placed)),
    }))
    programs.push(decode)

    const generated: number[] = []
    let shown = ''
    let last = prompt[prompt.length - 1]
    for (let count = 0; count < tokens; count++) {
      signal?.throwIfAborted()
      const position = prompt.length - 1 + count
      const { logits } = await decode.run({ ids: Int32Array.of(last), positions: Int32Array.of(position) }, [
        'logits',
      ])
      const { id, margin } = choose(logits, options.temperature ?? 0, options.topP ?? 1, random)
      if (stopIds.has(id)) return
      generated.push(id)
      last = id
      const text = tokenizer.decode(generated, { skipSpecial: true })
      // A token may end inside a character: wait for the rest of it.
      const complete = text.endsWith('\uFFFD') && count < tokens - 1 ? shown : text
      const fresh = complete.startsWith(shown) ? complete.slice(shown.length) : ''
      if (fresh) shown = complete
      yield { id, text: fresh, margin }
    }
  } finally {
    for (const program of programs) program.dispose()
    for (const cache of caches) engine.free(cache)
    placed?.dispose()
  }
}

/** Picks a token: the likeliest at temperature 0, else by nucleus sampling (https://arxiv.org/abs/1904.09751). */
export function choose(
  logits: Float32Array,
  temperature: number,
  topP: number,
  random: Pick<RandomStream, 'nextFloat'>,
): { id: number; margin: number } {
  let best = 0
  let second = -1
  for (let id = 1; id < logits.length; id++) {
    if (logits[id] > logits[best]) {
      second = best
      best = id
    } else if (second < 0 || logits[id] > logits[second]) second = id
  }
  const margin = second < 0 ? Number.POSITIVE_INFINITY : logits[best] - logits[second]
  if (temperature <= 0) return { id: best, margin }
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b)
  const weights = order.map((id) => Math.exp((logits[id] - logits[best]) / temperature))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let kept = 0
  let keptSum = 0
  while (kept < order.length && (kept === 0 || keptSum < topP * total)) keptSum += weights[kept++]
  let draw = random.nextFloat() * keptSum
  for (let rank = 0; rank < kept; rank++) {
    draw -= weights[rank]
    if (draw < 0) return { id: order[rank], margin }
  }
  return { id: order[kept - 1], margin }
}
