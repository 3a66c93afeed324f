/**
 * The device while it trains: the screen is kept from locking where the browser allows it (a locked phone stops
 * its tabs), and steps done while the tab was in the background are counted, so that a person who returns can
 * see what their browser did meanwhile.
 */
import { effect, signal } from '@preact/signals'
import { roundState } from './machine.ts'
import { trainReport } from './store.ts'

export interface Absence {
  readonly seconds: number
  readonly steps: number
}
/** The latest absence from the training tab that lasted long enough to matter. */
export const lastAbsence = signal<Absence | null>(null)

/** A glance at another tab says nothing. */
const SHORTEST_ABSENCE_SECONDS = 5

let left: { readonly at: number; readonly step: number } | null = null

function onVisibility(): void {
  if (document.visibilityState === 'hidden') {
    left =
      roundState.peek().at === 'training' ? { at: Date.now(), step: trainReport.peek()?.step ?? 0 } : null
    return
  }
  void keepScreenOn()
  if (!left) return
  const seconds = (Date.now() - left.at) / 1000
  // What was done is reported a moment after the return: messages from the worker may have waited too.
  const before = left
  left = null
  if (seconds < SHORTEST_ABSENCE_SECONDS) return
  setTimeout(() => {
    lastAbsence.value = { seconds, steps: (trainReport.peek()?.step ?? before.step) - before.step }
  }, 500)
}

let lock: WakeLockSentinel | null = null

/** A browser lets go of it when the tab is hidden; refused (battery saver, no secure context) it is no loss. */
async function keepScreenOn(): Promise<void> {
  if (lock !== null || roundState.peek().at !== 'training' || document.visibilityState === 'hidden') return
  try {
    const got = await navigator.wakeLock?.request('screen')
    if (!got) return
    lock = got
    got.addEventListener('release', () => {
      lock = null
    })
  } catch {
    lock = null
  }
}

effect(() => {
  if (roundState.value.at === 'training') void keepScreenOn()
  else void lock?.release().catch(() => {})
})
document.addEventListener('visibilitychange', onVisibility)
