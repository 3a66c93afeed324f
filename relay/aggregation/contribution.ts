/**
 * What a merge is a function of: the set of accepted updates. A set has no order and no duplicates, so both
 * are removed here, once, before any strategy sees the updates: sorted by digest, each digest once. Every
 * limit that keeps the linear strategies' sums exact is checked here too.
 */
import { MergeError } from './errors.ts'
import type { RoundStart } from './round-start.ts'

export interface Contribution {
  /** SHA-256 of the update's bytes, hex: its identity. */
  readonly digest: string
  /** Training examples behind it: its weight. The count is the client's own claim, hence capped. */
  readonly examples: number
  /** A - A0 and B - B0 by PEFT tensor name, in the room's own shapes; of other forms what these train. */
  readonly change: Change
}

/**
 * A change's tensors by name: a Map, or a reader that decodes a tensor each time it is asked for, so that no more of
 * an update than that is in memory.
 */
export interface Change {
  readonly size: number
  get(tensor: string): Float32Array | undefined
}

/** Caps a self-reported weight, and keeps round(x * 2^24) * examples below 2^37. */
export const MAX_EXAMPLES = 1_000

/** 2^10 terms below 2^37 stay below 2^47, far from 2^53 where doubles stop being exact integers. */
export const MAX_CONTRIBUTIONS = 1_024

/** A LoRA factor's change is of order 0.01; one beyond this has diverged, or wants to be noticed. */
export const MAX_CHANGE = 8

/** Sorted by digest, duplicates dropped, every limit and every shape checked. Throws MergeError. */
export function contributionSet(start: RoundStart, updates: readonly Contribution[]): Contribution[] {
  const byDigest = new Map<string, Contribution>()
  for (const update of updates) byDigest.set(update.digest, update)
  if (byDigest.size === 0) {
    throw new MergeError('merge/nothing', 'There is no update to merge yet: wait for the first contribution.')
  }
  checkCount(byDigest.size)
  const set = [...byDigest.values()].sort((x, y) => (x.digest < y.digest ? -1 : 1))
  for (const update of set) checkContribution(start, update)
  return set
}

export function checkCount(contributions: number): void {
  if (contributions > MAX_CONTRIBUTIONS) {
    throw new MergeError(
      'merge/contributions',
      `A round merges at most ${MAX_CONTRIBUTIONS} contributions and this would be ${contributions}: open another room.`,
    )
  }
}

export function checkContribution({ trained }: RoundStart, update: Contribution): void {
  const { examples, change, digest } = update
  const name = `update ${digest.slice(0, 12)}`
  if (!Number.isInteger(examples) || examples < 1 || examples > MAX_EXAMPLES) {
    throw new MergeError(
      'merge/examples',
      `The ${name} claims ${examples} examples; a whole number from 1 to ${MAX_EXAMPLES} is needed.`,
    )
  }
  for (const [tensor, { length }] of trained) checkTensor(change, tensor, length, name)
  if (change.size !== trained.size) {
    throw new MergeError(
      'merge/shape',
      `The ${name} holds ${change.size} tensors where this room's adapter has ${trained.size}.`,
    )
  }
}

function checkTensor(change: Change, name: string, length: number, update: string) {
  const values = change.get(name)
  if (!values) throw new MergeError('merge/shape', `The ${update} lacks the tensor ${name}.`)
  if (values.length !== length) {
    throw new MergeError(
      'merge/shape',
      `The ${update} holds ${values.length} numbers in ${name} where ${length} belong.`,
    )
  }
  for (let i = 0; i < length; i++) {
    // Written so that NaN fails too.
    if (!(Math.abs(values[i]!) <= MAX_CHANGE)) {
      throw new MergeError(
        'merge/range',
        `The ${update} changes ${name} by ${values[i]}, beyond ${MAX_CHANGE}: train again with a lower learning rate.`,
      )
    }
  }
}
