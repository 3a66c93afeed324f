/**
 * A room of several rounds, as this tab takes part in it: waits for the next one once it has sent, and then trains
 * again on the same data, until the last round or until the person leaves.
 */
import { computed, effect, signal } from '@preact/signals'
import { move, roundState } from './machine.ts'
import { toProblem } from './problems.ts'
import { nextRound } from './relay.ts'
import { sampleNow } from './sampling.ts'
import { keepSession } from './session.ts'
import {
  earlierReceipts,
  goesOn,
  manifest,
  openRound,
  origin,
  problem,
  receipt,
  resetTraining,
  roundWaits,
  withdrawnBy,
} from './store.ts'
import { runTraining, startTraining } from './training.ts'

/** Nothing follows: the host has closed the room, or it was the last round. */
export const roundsOver = signal(false)

/** What was trained is for a round that is over: a newer version is there to train from. */
export const isLate = computed(() => {
  const open = openRound.value
  return open !== null && origin.value !== null && receipt.value === null && open.round > origin.value.round
})

/** From the receipt of the round before, or from the result, into the round that has begun. */
export function beginNextRound(): void {
  const before = receipt.peek()
  if (!before || !move(['sent', 'result'], { at: 'training' })) return
  roundWaits.value = false
  earlierReceipts.value = [...earlierReceipts.peek(), before]
  receipt.value = null
  withdrawnBy.value = null
  resetTraining()
  sampleNow.value = null
  void runTraining({ fresh: true, paused: false })
}

/** From a review that came too late for its round: the same data again, from the newest version. */
export function trainAnew(): void {
  if (move('reviewing', { at: 'ready' })) startTraining()
}

/** Takes part in the rounds to come, or no more; what was sent counts all the same. */
export function setGoesOn(goes: boolean): void {
  goesOn.value = goes
  keepSession()
}

let waiting: AbortController | null = null

effect(() => {
  const hasSent = receipt.value !== null && ['sent', 'result'].includes(roundState.value.at)
  const isWaiting = manifest.value?.mode?.kind === 'rounds' && hasSent && goesOn.value
  if (isWaiting && !waiting && !roundWaits.peek()) {
    waiting = new AbortController()
    void wait(waiting.signal)
  } else if (!isWaiting) {
    waiting?.abort()
    waiting = null
  }
})

// Whoever comes back from the result finds that the round has begun.
effect(() => {
  if (roundWaits.value && roundState.value.at === 'sent' && goesOn.value) beginNextRound()
})

async function wait(signal: AbortSignal): Promise<void> {
  try {
    const hasBegun = await nextRound(signal)
    if (signal.aborted) return
    roundsOver.value = !hasBegun
    roundWaits.value = hasBegun
  } catch (error) {
    // Taken back, or left, while it waited.
    const { code } = error as { code?: unknown }
    if (!signal.aborted && code !== 'client/stale' && code !== 'client/aborted')
      problem.value = toProblem(error)
  }
}
