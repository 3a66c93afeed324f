/** A failure in one sentence, with a way on; it takes nothing away from the screen below. */
import { roundState } from '../state/machine.ts'
import { problem, relayOnline, roomKept } from '../state/store.ts'
import { problems } from '../strings/problems.ts'

export function ProblemBanner() {
  const current = problem.value
  return (
    <div role="alert">
      {current && (
        <div class={current.code === 'page/back' ? 'problem problem-warm' : 'problem'}>
          <p class="problem-text" data-testid="error" data-code={current.code}>
            {current.message}
          </p>
          <button
            type="button"
            class="button button-small"
            data-testid="error-dismiss"
            onClick={() => {
              problem.value = null
            }}
          >
            {problems.dismiss}
          </button>
        </div>
      )}
      {/* The upload says so itself. */}
      {(!relayOnline.value || roomKept.value) && roundState.value.at !== 'sending' && (
        <div class="problem problem-warm" data-testid="relay-offline">
          <p class="problem-text">{roomKept.value ? problems.relayLater : problems.relayOffline}</p>
        </div>
      )}
    </div>
  )
}
