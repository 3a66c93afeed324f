/**
 * How a room's updates become one adapter: the name of a strategy and its settings. It is a term of the manifest,
 * so it bounds every number; what each does is in relay/aggregation, one file a strategy.
 */
import * as v from 'valibot'
import { finiteNumber, shownText, wholeNumber } from './fields.ts'
import { MAX_PUBLISHED_RANK } from './limits.ts'

/** Zero would publish nothing, or keep nothing. */
const positive = (most: number) => finiteNumber(Number.MIN_VALUE, most)
const share = positive(1)

/** What every strategy takes: done to the updates before the merge, or to its result. */
const common = {
  /** Scales what is published; 1 where it is left out. */
  lambda: v.optional(positive(100)),
  /** Largest norm of one client's whole delta: longer ones are scaled down to it. `median`: of all the norms. */
  clip: v.optional(v.union([v.literal('median'), positive(1e9)])),
  /** Rank to publish at most, in each module. */
  rank: v.optional(wholeNumber(1, MAX_PUBLISHED_RANK)),
  /** Share of each module's energy to publish at least, by the smallest rank that does. */
  tau: v.optional(share),
}

const density = share

export const strategySchema = v.variant('id', [
  /** Exact weighted mean of the deltas, cut to the smallest rank that keeps this share of the energy. */
  v.strictObject({ ...common, id: v.literal('florist'), tau: finiteNumber(0, 1) }),
  /** Weighted mean of the factors, as the paper's code does. */
  v.strictObject({ ...common, id: v.literal('fedit') }),
  /** Mean of B, where clients train B alone. */
  v.strictObject({ ...common, id: v.literal('ffa') }),
  /** Mean of the cores R, where clients train these alone. */
  v.strictObject({ ...common, id: v.literal('lora-sb') }),
  /** Exact weighted mean of the deltas: all factors, stacked. */
  v.strictObject({ ...common, id: v.literal('stack') }),
  /** Best approximation of the exact weighted mean by this rank. */
  v.strictObject({ ...common, id: v.literal('svd'), rank: wholeNumber(1, MAX_PUBLISHED_RANK) }),
  /** Exact weighted mean of the deltas times lambda. */
  v.strictObject({ ...common, id: v.literal('task') }),
  /** Largest entries of each delta; of these the mean of those whose sign wins. `scope` is what they compete in. */
  v.strictObject({
    ...common,
    id: v.literal('ties'),
    density,
    scope: v.optional(v.picklist(['model', 'module'])),
  }),
  /** A random share of each delta's entries, scaled up by what was dropped; weighted mean. */
  v.strictObject({
    ...common,
    id: v.literal('dare'),
    density,
    seed: v.pipe(shownText(128), v.minLength(1)),
  }),
  /** Entry by entry. */
  v.strictObject({ ...common, id: v.literal('median') }),
  /** Entry by entry, without this share of the clients at either end. */
  v.strictObject({
    ...common,
    id: v.literal('trimmed-mean'),
    trim: v.pipe(finiteNumber(0, 0.5), v.notValue(0.5)),
  }),
  /** Weighted geometric median of the deltas. */
  v.strictObject({ ...common, id: v.literal('rfa') }),
])

export type Strategy = v.InferOutput<typeof strategySchema>
