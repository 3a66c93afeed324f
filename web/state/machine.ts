/**
 * Where a participant is in the round: one discriminated union and the moves between its members. A move that
 * the drawing does not have does not compile, and a move from a state that the person has left meanwhile (a
 * download that ends after a failure, say) changes nothing.
 *
 *   opening -> choosing (several rooms) -> opening
 *   opening -> welcome -> loading -> data <-> ready -> training <-> paused -> reviewing -> sending -> sent <-> result
 *   data -> welcome, reviewing <-> ready (the text may be changed, and trained on anew)
 *   reviewing <-> result (kept, not sent), result -> left (erased)
 *   sent, result -> training (the next round of a room that has several)
 *   opening -> loading -> where a saved session was: data, training, paused, reviewing, sent or result
 *   training -> ready (it failed), sending -> reviewing (refused), reviewing -> left -> opening
 *   with a model loaded -> lost -> loading;   before that, anything -> failed -> opening
 */
import { signal } from '@preact/signals'

export interface Problem {
  readonly code: string
  /** One sentence: what happened and the next step. */
  readonly message: string
}

export type RoundState =
  | { readonly at: 'opening' }
  | { readonly at: 'choosing' }
  | { readonly at: 'welcome' }
  /** The device is opened and the base model loaded; `continuing` when a saved session goes on. */
  | { readonly at: 'loading'; readonly continuing: boolean }
  | { readonly at: 'data' }
  /** Text is chosen, training has not begun. */
  | { readonly at: 'ready' }
  | { readonly at: 'training' }
  | { readonly at: 'paused' }
  /** The device is gone; the last checkpoint is not. */
  | { readonly at: 'lost'; readonly problem: Problem }
  | { readonly at: 'reviewing' }
  | { readonly at: 'sending' }
  | { readonly at: 'sent' }
  | { readonly at: 'result' }
  /** `erased`: everything of every tab, not this session alone. */
  | { readonly at: 'left'; readonly erased: boolean }
  | { readonly at: 'failed'; readonly problem: Problem }

export type At = RoundState['at']

const moves = {
  opening: ['choosing', 'welcome', 'loading', 'failed'],
  choosing: ['opening'],
  welcome: ['loading', 'lost', 'failed'],
  loading: ['welcome', 'data', 'training', 'paused', 'reviewing', 'sent', 'result', 'lost', 'failed'],
  data: ['ready', 'welcome', 'lost', 'failed'],
  ready: ['data', 'training', 'reviewing', 'lost', 'failed'],
  training: ['paused', 'ready', 'reviewing', 'lost', 'failed'],
  paused: ['training', 'ready', 'reviewing', 'lost', 'failed'],
  lost: ['loading', 'failed'],
  reviewing: ['sending', 'result', 'ready', 'left', 'lost', 'failed'],
  sending: ['sent', 'reviewing', 'lost', 'failed'],
  sent: ['result', 'training', 'lost', 'failed'],
  result: ['sent', 'reviewing', 'training', 'left', 'lost', 'failed'],
  left: ['opening'],
  failed: ['opening'],
} as const satisfies Record<At, readonly At[]>

export type Next<From extends At> = (typeof moves)[From][number]
type StateAt<Where extends At> = Extract<RoundState, { readonly at: Where }>

export const roundState = signal<RoundState>({ at: 'opening' })

/**
 * Moves on if the round is still at `from`; says whether it was. `From` may be a union when several states
 * allow the same move.
 */
export function move<From extends At>(from: From | readonly From[], to: StateAt<Next<From>>): boolean {
  const origins: readonly At[] = typeof from === 'string' ? [from] : from
  const here = roundState.peek().at
  if (!origins.includes(here) || !(moves[here] as readonly At[]).includes(to.at)) return false
  roundState.value = to
  return true
}

/** Every state from which `to` can be reached. */
export const originsOf = (to: At): At[] =>
  (Object.keys(moves) as At[]).filter((from) => (moves[from] as readonly At[]).includes(to))

/** The six steps a participant sees; several states share one. */
export const steps = ['join', 'data', 'train', 'review', 'send', 'result'] as const
export type Step = (typeof steps)[number]

export function stepOf(at: At): Step | null {
  switch (at) {
    case 'opening':
    case 'choosing':
    case 'welcome':
    case 'loading':
    case 'failed':
      return 'join'
    case 'data':
      return 'data'
    case 'ready':
    case 'training':
    case 'paused':
      return 'train'
    case 'reviewing':
      return 'review'
    case 'sending':
    case 'sent':
      return 'send'
    case 'result':
      return 'result'
    case 'lost':
    case 'left':
      return null
    default: {
      const never: never = at
      return never
    }
  }
}
