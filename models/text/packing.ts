/**
 * Several short documents in one window: where each begins, so that a batch passes through fewer rows. First fit,
 * the longest first (Johnson 1973: at most 11/9 of the fewest windows, and one); equal lengths keep their order.
 */

export interface Place {
  readonly window: number
  /** Row of the window at which it begins. */
  readonly at: number
}

/**
 * A place for each length in `windows` windows of `tokens` rows, or null where they do not fit. With no more lengths
 * than windows each has its own.
 */
export function pack(
  lengths: readonly number[],
  { batch: windows, tokens }: { readonly batch: number; readonly tokens: number },
): Place[] | null {
  if (lengths.some((length) => length > tokens)) return null
  if (lengths.length <= windows) return lengths.map((_, window) => ({ window, at: 0 }))
  const used = new Uint32Array(windows)
  const places = new Array<Place>(lengths.length)
  const longestFirst = lengths.map((_, i) => i).sort((x, y) => lengths[y] - lengths[x] || x - y)
  for (const i of longestFirst) {
    const window = used.findIndex((rows) => rows + lengths[i] <= tokens)
    if (window < 0) return null
    places[i] = { window, at: used[window] }
    used[window] += lengths[i]
  }
  return places
}
