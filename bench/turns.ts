/**
 * Contestants take turns, so that a machine whose speed drifts treats them alike, and ratios are taken within a round. The
 * first round is not for timing: kernels are compiled in it.
 */
export interface Turns {
  /** Timed rounds: at least one, at most so many. */
  readonly most: number
  /** No further round is begun after this, the first one's time not counted. */
  readonly budgetMs: number
}

/** Every contestant's readings, the first round's at 0. */
export async function takeTurns<Reading>(
  contestants: ReadonlyArray<(round: number) => Promise<Reading>>,
  { most, budgetMs }: Turns,
): Promise<Reading[][]> {
  const readings: Reading[][] = contestants.map(() => [])
  let begun = 0
  for (let round = 0; round <= most; round++) {
    if (round === 1) begun = performance.now()
    if (round > 1 && performance.now() - begun > budgetMs) break
    for (const [which, take] of contestants.entries()) readings[which].push(await take(round))
  }
  return readings
}
