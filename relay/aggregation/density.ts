/** The setting that `ties` and `dare` share. */
import { MergeError } from './errors.ts'

export function checkDensity(density: number): void {
  if (!(density > 0 && density <= 1)) {
    throw new MergeError(
      'merge/strategy',
      `density is the share of entries kept, above 0 and at most 1, not ${density}.`,
    )
  }
}
