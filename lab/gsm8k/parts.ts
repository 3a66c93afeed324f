/** Rows dealt out to clients: disjoint, none lost, near equal, and the same in every run. */

/** Row i goes to client i mod `clients`; at most `most` rows each. */
export function deal<Row>(rows: readonly Row[], clients: number, most: number): Row[][] {
  const parts = Array.from({ length: clients }, (): Row[] => [])
  rows.forEach((row, i) => {
    const part = parts[i % clients]
    if (part.length < most) part.push(row)
  })
  return parts
}

/** The lines of a jsonl file that hold something. */
export const jsonLines = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '')
