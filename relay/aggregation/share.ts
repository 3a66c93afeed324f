/** floor(share count), where 0.29 of 100 is 29 although the doubles' product is a little less. */
export function shareOf(share: number, count: number): number {
  return Math.min(count, Math.floor(share * count * (1 + 4 * Number.EPSILON)))
}
