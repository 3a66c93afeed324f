/**
 * The browser's back and forward buttons walk the steps of the round. Each step a person has come to is an entry
 * of the history that holds the way to it; an entry they go to is answered by the move that leads there, where
 * machine.ts has one. Where it has none (training runs, the update is sent) the page stays, goes back to its own
 * entry and says why. Nothing is lost by either button.
 */
import { effect } from '@preact/signals'
import { back as text } from '../strings/back.ts'
import { leaveResult, openResult } from './comparing.ts'
import { type At, move, roundState, type Step, stepOf, steps } from './machine.ts'
import { joinRoom } from './opening.ts'
import { continueToTraining, hasEnoughText } from './reading.ts'
import { outcome, problem, receipt } from './store.ts'
import { backToData, backToReview } from './training.ts'

/** The steps on the way to an entry, its own last. */
export type Trail = readonly Step[]

/** Between two steps, or outside of them: the history waits. */
const UNSETTLED: readonly At[] = ['opening', 'choosing', 'loading', 'lost', 'left', 'failed']

const settledStep = (at: At): Step | null => (UNSETTLED.includes(at) ? null : stepOf(at))

/** Null for what this page has not written: a fragment's entry, or an older page's. */
export function trailIn(state: unknown): Trail | null {
  const trail = (state as { trail?: unknown } | null)?.trail
  if (!Array.isArray(trail) || trail.length === 0) return null
  return trail.every((step) => steps.includes(step)) ? trail : null
}

export type HistoryChange =
  | { readonly do: 'nothing' }
  | { readonly do: 'push' | 'replace'; readonly trail: Trail }
  | { readonly do: 'go'; readonly delta: number }

/** What brings the history to where the round is: a new step is a new entry, one on the way here is gone back to. */
export function changeFor(now: Step, trail: Trail | null): HistoryChange {
  if (trail === null) return { do: 'replace', trail: [now] }
  const last = trail.length - 1
  if (trail[last] === now) return { do: 'nothing' }
  const earlier = trail.lastIndexOf(now)
  if (earlier >= 0) return { do: 'go', delta: earlier - last }
  const isAhead = steps.indexOf(now) > steps.indexOf(trail[last])
  return isAhead
    ? { do: 'push', trail: [...trail, now] }
    : { do: 'replace', trail: [...trail.slice(0, -1), now] }
}

export type Way = 'join' | 'back-to-join' | 'data' | 'train' | 'again' | 'review' | 'result' | 'leave-result'

/** How to get from `at` to the step of an entry; null where there is no way. */
export function wayTo(wanted: Step, at: At, has: { text: boolean; outcome: boolean }): Way | null {
  switch (at) {
    case 'welcome':
      return wanted === 'data' ? 'join' : null
    case 'data':
      if (wanted === 'join') return 'back-to-join'
      return wanted === 'train' && has.text ? 'train' : null
    case 'ready':
      if (wanted === 'join' || wanted === 'data') return 'data'
      return wanted === 'review' && has.outcome ? 'review' : null
    case 'reviewing':
      if (wanted === 'result') return 'result'
      return wanted === 'send' ? null : 'again'
    case 'sent':
      return wanted === 'result' ? 'result' : null
    case 'result':
      return 'leave-result'
    default:
      return null
  }
}

const follow: Readonly<Record<Way, () => void>> = {
  join: () => void joinRoom(),
  'back-to-join': () => void move('data', { at: 'welcome' }),
  data: backToData,
  train: continueToTraining,
  again: () => void move('reviewing', { at: 'ready' }),
  review: backToReview,
  result: openResult,
  'leave-result': leaveResult,
}

/** The entry the page stands at. */
let current: Trail = []

function sync(): void {
  const now = settledStep(roundState.value.at)
  if (now === null) return
  const trail = trailIn(history.state)
  const change = changeFor(now, trail)
  switch (change.do) {
    case 'nothing':
      current = trail ?? current
      return
    case 'push':
      history.pushState({ trail: change.trail }, '')
      current = change.trail
      return
    case 'replace':
      history.replaceState({ trail: change.trail }, '')
      current = change.trail
      return
    case 'go':
      history.go(change.delta)
      return
    default:
      change satisfies never
  }
}

function onPopState({ state }: PopStateEvent): void {
  const { at } = roundState.peek()
  const now = settledStep(at)
  if (now === null) return
  const trail = trailIn(state)
  if (trail === null) {
    // The link that skips the header, say: an entry at this same step.
    history.replaceState({ trail: current }, '')
    return
  }
  const wanted = trail[trail.length - 1]
  if (wanted === now) {
    current = trail
    return
  }
  const way = wayTo(wanted, at, { text: hasEnoughText.peek(), outcome: outcome.peek() !== null })
  if (way !== null) {
    current = trail
    problem.value = null
    follow[way]()
    return
  }
  history.go(current.length - trail.length)
  if (current.length > trail.length) {
    stayedAt = at
    problem.value = { code: 'page/back', message: reasonToStay(at) }
  }
}

function reasonToStay(at: At): string {
  if (at === 'training' || at === 'paused') return text.training
  if (at === 'sending') return text.sending
  return receipt.peek() ? text.sent : text.elsewhere
}

// Why one had to stay is no news any more once they have gone on.
function forgetReason(): void {
  const { at } = roundState.value
  if (problem.peek()?.code === 'page/back' && at !== stayedAt) problem.value = null
}

let stayedAt: At | null = null
let started = false

export function followHistory(): void {
  if (started) return
  started = true
  addEventListener('popstate', onPopState)
  effect(sync)
  effect(forgetReason)
}
