/**
 * A worker's file that ran twice in one worker would answer each call twice, the second time from a state in which nothing is
 * loaded; the page takes whichever answer comes first. WebKit does that to a file that another one imports. The build prevents
 * it (scripts/worker-runs-once.ts); should it happen all the same, this is what the person reads.
 */
import { PageError } from '../state/problems.ts'
import { problems } from '../strings/problems.ts'

const CLAIMED = Symbol.for('oneround.worker')

/** Throws PageError `worker/twice` when it was called with this global scope before. */
export function claimWorker(scope: object): void {
  if (CLAIMED in scope) throw new PageError('worker/twice', problems.workerTwice)
  Object.defineProperty(scope, CLAIMED, { value: true })
}
