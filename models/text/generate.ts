/**
 * Text generation with a KV cache: the prompt goes through in chunks of fixed size, then one token a replay.
 *
 * A chunk may run past the prompt's end: the surplus rows write keys and values at positions that are written
 * again before any later query can attend to them, so two programs (a chunk, one token) serve every length.
 *
 * A `Generator` keeps caches and programs between texts. An adapter of the same modules and ranks as one before it is
 * written over that one; another shape gets programs of its own; the base stays where it is.
 */
import type { Adapter } from '../adapters/adapter.ts'
import { RandomStream } from '../adapters/random.ts'
import type { Engine, Program } from '../backend/engine.ts'
import { DataError, ModelsError } from '../errors.ts'
import type { KvCache, Ops, Tensor } from '../ops/ops.ts'
import {
  adapterSignature,
  checkAdapterFits,
  placeAdapter,
  replaceAdapter,
} from '../training/engine-adapter.ts'
import type { EngineAdapter, Model } from '../training/model.ts'
import { choose, type SamplingOptions } from './sampling.ts'
import { TextStream, type TokenText } from './text-stream.ts'
import type { Tokenizer } from './tokenizer.ts'

const PREFILL_ROWS = 32

/** Caches grow by so many positions: texts of about one length share them. */
const CAPACITY_STEP = 128

/** Base, own and merged: more shapes of adapters than these push out the one that was not used for longest. */
const MAX_SHAPES = 3

/** A text model that reads on from keys and values it keeps. */
export interface GeneratingModel extends Pick<Model, 'engine' | 'modules'> {
  readonly config: {
    readonly layers: number
    readonly kvHeads: number
    readonly headDim: number
    readonly maxPositions: number
    readonly vocabularySize: number
  }
  /**
   * Runs `ids` [rows] at `positions` [rows] through the caches (one a block), which afterwards hold them; returns the
   * residual stream after the last block [rows, hidden].
   */
  extend(
    ops: Ops,
    inputs: Readonly<Record<string, Tensor>>,
    caches: readonly KvCache[],
    adapter: EngineAdapter | null,
  ): Tensor
  /** Logits [1, vocabulary] after the last row of what `extend` returned. */
  nextLogits(ops: Ops, x: Tensor): Tensor
}

export interface TextOptions extends SamplingOptions {
  readonly adapter: Adapter | null
  /** Token ids; at least one. */
  readonly prompt: readonly number[]
  readonly maxTokens: number
  readonly seed?: string | undefined
  /** Generation ends at these ids, which are not yielded; default: the tokenizer's end token. */
  readonly stopIds?: readonly number[] | undefined
  /** Generation ends where one of these stands in the text, which ends before it. */
  readonly stop?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
}

export interface GenerateOptions extends TextOptions {
  readonly model: GeneratingModel
  readonly tokenizer: Tokenizer
}

/** One token; `text` is what became certain with it, empty while a character or a stop string may be incomplete. */
export type GeneratedToken = TokenText

/** One text, and everything made for it freed after it. Throws DataError `prompt/…`, MismatchError. */
export async function* generate(options: GenerateOptions): AsyncGenerator<GeneratedToken> {
  const generator = new Generator(options.model, options.tokenizer)
  try {
    yield* generator.generate(options)
  } finally {
    generator.dispose()
  }
}

/** Programs for the base (placed null) or for adapters of one shape. */
interface Placed {
  readonly adapter: EngineAdapter | null
  /** Whose numbers it holds. */
  holds: Adapter | null
  prefill: Program | null
  decode: Program | null
}

export class Generator {
  private readonly model: GeneratingModel
  private readonly tokenizer: Tokenizer
  private readonly engine: Engine
  private caches: readonly KvCache[] = []
  private capacity = 0
  /** By signature, the least recently used first. */
  private readonly placed = new Map<string, Placed>()
  private busy = false

  constructor(model: GeneratingModel, tokenizer: Tokenizer) {
    this.model = model
    this.tokenizer = tokenizer
    this.engine = model.engine
  }

  /** One text at a time. Throws DataError `prompt/…`, MismatchError, ModelsError `generate/busy`. */
  async *generate(options: TextOptions): AsyncGenerator<GeneratedToken> {
    const { prompt, adapter, signal } = options
    const room = this.checkPrompt(prompt)
    if (adapter) checkAdapterFits(this.model, adapter)
    if (this.busy)
      throw new ModelsError('generate/busy', 'A text is being written already; wait for its end.')
    this.busy = true
    try {
      const tokens = Math.min(options.maxTokens, room)
      // Surplus rows of the last chunk need somewhere to write, hence the chunk on top.
      this.reserve(prompt.length + tokens + PREFILL_ROWS)
      const placed = this.place(adapter)
      await this.readPrompt(placed, prompt, signal)

      const stopIds = new Set(options.stopIds ?? [this.tokenizer.eosId])
      const random = new RandomStream(options.seed ?? '0', 'generate')
      const stream = new TextStream(this.tokenizer, options.stop ?? [])
      const seen = new Set(prompt)
      let last = prompt[prompt.length - 1]
      for (let count = 0; count < tokens; count++) {
        signal?.throwIfAborted()
        const logits = await this.nextLogits(placed, last, prompt.length - 1 + count)
        const { id, margin } = choose(logits, seen, options, random)
        if (stopIds.has(id)) break
        seen.add(id)
        last = id
        yield* stream.push(id, margin)
        if (stream.stopped) return
      }
      yield* stream.end()
    } finally {
      this.busy = false
    }
  }

  dispose(): void {
    this.forgetPrograms()
    for (const { adapter } of this.placed.values()) adapter?.dispose()
    this.placed.clear()
    for (const cache of this.caches) this.engine.free(cache)
    this.caches = []
    this.capacity = 0
  }

  /** How many tokens may follow the prompt. */
  private checkPrompt(prompt: readonly number[]): number {
    const { config } = this.model
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
    return room
  }

  /** Larger caches are new ones, and programs are bound to the caches. */
  private reserve(positions: number): void {
    if (positions <= this.capacity) return
    this.forgetPrograms()
    for (const cache of this.caches) this.engine.free(cache)
    const { layers, kvHeads, headDim } = this.model.config
    this.capacity = Math.ceil(positions / CAPACITY_STEP) * CAPACITY_STEP
    this.caches = Array.from({ length: layers }, () => this.engine.kvCache(this.capacity, kvHeads * headDim))
  }

  private place(adapter: Adapter | null): Placed {
    const signature = adapter ? adapterSignature(adapter) : 'base'
    const known = this.placed.get(signature)
    this.placed.delete(signature)
    const placed = known ?? {
      adapter: adapter && placeAdapter(this.engine, adapter),
      holds: adapter,
      prefill: null,
      decode: null,
    }
    this.placed.set(signature, placed)
    if (adapter && placed.adapter && placed.holds !== adapter) {
      replaceAdapter(placed.adapter, adapter)
      placed.holds = adapter
    }
    if (this.placed.size > MAX_SHAPES) {
      const [oldest, { adapter: own, prefill, decode }] = this.placed.entries().next().value!
      this.placed.delete(oldest)
      prefill?.dispose()
      decode?.dispose()
      own?.dispose()
    }
    return placed
  }

  /** All of it but the last token, which `nextLogits` takes. */
  private async readPrompt(
    placed: Placed,
    prompt: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (prompt.length === 1) return
    const { model, engine, caches } = this
    placed.prefill ??= await engine.program('prefill', rowInputs(PREFILL_ROWS), (ops, given) => {
      model.extend(ops, given, caches, placed.adapter)
      return {}
    })
    for (let start = 0; start < prompt.length - 1; start += PREFILL_ROWS) {
      signal?.throwIfAborted()
      const ids = new Int32Array(PREFILL_ROWS)
      const positions = new Int32Array(PREFILL_ROWS)
      for (let row = 0; row < PREFILL_ROWS; row++) {
        ids[row] = prompt[Math.min(start + row, prompt.length - 1)]
        // The rotary table ends at maxPositions; surplus rows stay inside it and inside the cache.
        positions[row] = Math.min(start + row, model.config.maxPositions - 1)
      }
      await placed.prefill.run({ ids, positions })
    }
  }

  private async nextLogits(placed: Placed, id: number, position: number): Promise<Float32Array> {
    const { model, engine, caches } = this
    placed.decode ??= await engine.program('decode', rowInputs(1), (ops, given) => ({
      logits: model.nextLogits(ops, model.extend(ops, given, caches, placed.adapter)),
    }))
    const inputs = { ids: Int32Array.of(id), positions: Int32Array.of(position) }
    return (await placed.decode.run(inputs, ['logits'])).logits
  }

  private forgetPrograms(): void {
    for (const placed of this.placed.values()) {
      placed.prefill?.dispose()
      placed.decode?.dispose()
      placed.prefill = null
      placed.decode = null
    }
  }
}

const rowInputs = (rows: number) =>
  [
    { name: 'ids', shape: [rows], dtype: 'int32' },
    { name: 'positions', shape: [rows], dtype: 'int32' },
  ] as const
