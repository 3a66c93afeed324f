/** Where a picture's shared numbers lie, for both executors. */
import type { PerPicture } from './ops.ts'

/** WGSL for number `c` of `name` for the picture of `row`, which has `tokens` rows. */
export const perPictureAt = (
  name: string,
  { values, part }: PerPicture,
  { row, tokens, width }: { row: string; tokens: number; width: number },
): string => `${name}[${row} / ${tokens}u * ${values.shape[1]}u + ${part * width}u + c]`

/** Rows of each picture; throws RangeError where they do not come out even. */
export function tokensOf(rows: number, pictures: number): number {
  if (pictures < 1 || rows % pictures !== 0) throw new RangeError(`${rows} rows of ${pictures} pictures`)
  return rows / pictures
}
