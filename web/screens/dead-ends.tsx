/** Two places without a step: the device is gone, the person left. */
import { Screen } from '../components/screen.tsx'
import type { Problem } from '../state/machine.ts'
import { openAgain } from '../state/opening.ts'
import { resumeFromCheckpoint } from '../state/restoring.ts'
import { checkpointStep } from '../state/store.ts'
import { left, lost } from '../strings/dead-ends.ts'

export function LostScreen({ problem }: { readonly problem: Problem }) {
  const kept = checkpointStep.value !== null
  return (
    <Screen title={lost.title} lead={kept ? lost.lead : lost.leadEarly}>
      <p class="notice notice-warm" role="alert" data-testid="device-lost" data-code={problem.code}>
        {problem.message}
      </p>
      <div class="actions">
        <button
          type="button"
          class="button button-primary"
          data-testid="resume-checkpoint"
          onClick={() => void resumeFromCheckpoint()}
        >
          {kept ? lost.resume : lost.again}
        </button>
      </div>
    </Screen>
  )
}

export function LeftScreen({ erased }: { readonly erased: boolean }) {
  return (
    <Screen title={erased ? left.erasedTitle : left.title} lead={erased ? left.erasedLead : left.lead}>
      <div class="actions">
        <button type="button" class="button" data-testid="start-again" onClick={() => void openAgain()}>
          {left.again}
        </button>
      </div>
    </Screen>
  )
}
