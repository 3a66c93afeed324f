/** The one column: header, steps, the screen of the state at hand, footer. */
import { Mark } from './components/mark.tsx'
import { ProblemBanner } from './components/problem.tsx'
import { Steps } from './components/steps.tsx'
import { DataScreen } from './screens/data.tsx'
import { FailedScreen, LeftScreen, LostScreen } from './screens/dead-ends.tsx'
import { JoinScreen } from './screens/join.tsx'
import { OpeningScreen, RoomsScreen } from './screens/opening.tsx'
import { ResultScreen } from './screens/result.tsx'
import { ReviewScreen } from './screens/review.tsx'
import { SendScreen } from './screens/send.tsx'
import { TrainScreen } from './screens/train.tsx'
import { type RoundState, roundState, stepOf } from './state/machine.ts'
import { announcement, manifest } from './state/store.ts'
import { shell } from './strings.ts'

export function App() {
  const state = roundState.value
  const step = stepOf(state.at)
  return (
    <div class="page" data-testid="page" data-at={state.at}>
      <a class="skip" href="#main">
        {shell.skip}
      </a>
      <header class="header">
        <Mark />
        <span class="header-name">{shell.name}</span>
        {step !== 'join' && <span class="header-room">{manifest.value?.title}</span>}
      </header>
      {step && <Steps current={step} />}
      <main class="main" id="main">
        <ProblemBanner />
        <CurrentScreen state={state} />
      </main>
      <footer class="footer">{shell.footer}</footer>
      <p class="visually-hidden" role="status">
        {announcement.value}
      </p>
    </div>
  )
}

/** Keys make a new screen of a new step, and keep the screen within one. */
function CurrentScreen({ state }: { readonly state: RoundState }) {
  switch (state.at) {
    case 'opening':
      return <OpeningScreen key="opening" />
    case 'choosing':
      return <RoomsScreen key="rooms" />
    case 'welcome':
    case 'loading':
      return <JoinScreen key="join" />
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
      return <LeftScreen key="left" />
    case 'failed':
      return <FailedScreen key="failed" problem={state.problem} />
    default: {
      const never: never = state
      return never
    }
  }
}
