/**
 * Gives transient tensors their memory: two tensors may share a buffer if their lifetimes do not overlap.
 *
 * Why whole buffers and not offsets into one arena: WebGPU forbids a buffer to be bound as read-only and as
 * writable in one dispatch, whatever the ranges, so a kernel's inputs and outputs must lie in different buffers.
 * "Greedy by size for shared objects", Pisarchyk & Lee 2020, https://arxiv.org/abs/2001.03288
 */

export interface Lifetime {
  readonly bytes: number
  /** Index of the dispatch that first writes it. */
  readonly first: number
  /** Index of the last dispatch that touches it, inclusive. */
  readonly last: number
}

export interface Layout {
  /** Buffer of each lifetime, in the order given. */
  readonly slotOf: readonly number[]
  readonly slotBytes: readonly number[]
}

export function layOut(lifetimes: readonly Lifetime[]): Layout {
  const order = lifetimes
    .map((_, index) => index)
    .sort(
      (a, b) => lifetimes[b].bytes - lifetimes[a].bytes || lifetimes[a].first - lifetimes[b].first || a - b,
    )
  const slotOf = new Array<number>(lifetimes.length)
  const slots: { bytes: number; taken: Lifetime[] }[] = []
  for (const index of order) {
    const wanted = lifetimes[index]
    // Slots only ever grow smaller in this order, so the last that is free is the tightest fit.
    let chosen = -1
    for (let slot = 0; slot < slots.length; slot++) {
      if (slots[slot].taken.every((other) => other.last < wanted.first || wanted.last < other.first))
        chosen = slot
    }
    if (chosen < 0) chosen = slots.push({ bytes: wanted.bytes, taken: [] }) - 1
    slots[chosen].taken.push(wanted)
    slotOf[index] = chosen
  }
  return { slotOf, slotBytes: slots.map((slot) => slot.bytes) }
}
