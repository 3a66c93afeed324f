/** What merging refuses: a sum that could be inexact, updates that do not fit the room, nothing to merge. */
import { ModelsError } from '../../models/errors.ts'

export type MergeErrorCode =
  | 'merge/nothing'
  | 'merge/examples'
  | 'merge/contributions'
  | 'merge/range'
  | 'merge/shape'
  | 'merge/strategy'
  | 'merge/weights'
  | 'merge/privacy'
  | 'merge/unknown-contribution'
  | 'merge/no-convergence'

export class MergeError extends ModelsError {
  override readonly code: MergeErrorCode

  constructor(code: MergeErrorCode, message: string) {
    super(code, message)
    this.code = code
  }
}
