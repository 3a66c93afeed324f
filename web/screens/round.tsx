/** The screens after the invitation, fetched as one part while the invitation is read. */
import type { RoundState } from '../state/machine.ts'
import { DataScreen } from './data.tsx'
import { LeftScreen, LostScreen } from './dead-ends.tsx'
import { ResultScreen } from './result.tsx'
import { ReviewScreen } from './review.tsx'
import { SendScreen } from './send.tsx'
import { TrainScreen } from './train.tsx'

export type LaterState = Exclude<
  RoundState,
  { readonly at: 'opening' | 'choosing' | 'welcome' | 'loading' | 'failed' }
>

/** Keys make a new screen of a new step, and keep the screen within one. */
export function RoundScreen({ state }: { readonly state: LaterState }) {
  switch (state.at) {
    case 'data':
      return <DataScreen key="data" />
    case 'ready':
    case 'training':
    case 'paused':
      return <TrainScreen key="train" />
    case 'reviewing':
      return <ReviewScreen key="review" />
    case 'sending':
    case 'sent':
      return <SendScreen key="send" />
    case 'result':
      return <ResultScreen key="result" />
    case 'lost':
      return <LostScreen key="lost" problem={state.problem} />
    case 'left':
      return <LeftScreen key="left" erased={state.erased} />
    default: {
      const never: never = state
      return never
    }
  }
}
