/** The one column: header, steps, the screen of the state at hand, footer. */
import { Footer } from './components/footer.tsx'
import { Later } from './components/later.tsx'
import { Mark } from './components/mark.tsx'
import { ProblemBanner } from './components/problem.tsx'
import { Steps } from './components/steps.tsx'
import { JoinScreen } from './screens/join.tsx'
import { FailedScreen, OpeningScreen, RoomsScreen } from './screens/opening.tsx'
import { type RoundState, roundState, stepOf } from './state/machine.ts'
import { announcement, manifest } from './state/store.ts'
import { shell } from './strings/shell.ts'

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
      <Footer />
      <p class="visually-hidden" role="status">
        {announcement.value}
      </p>
    </div>
  )
}

const loadRoundScreen = async () => (await import('./screens/round.tsx')).RoundScreen

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
    case 'failed':
      return <FailedScreen key="failed" problem={state.problem} />
    default:
      return <Later key="round" load={loadRoundScreen} props={{ state }} />
  }
}
