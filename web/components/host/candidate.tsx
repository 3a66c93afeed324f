/** In a room with a gate: the version that waits for the host's measurement, or was held back by it. */
import { publishHeldBack } from '../../state/host/acting.ts'
import { overview } from '../../state/host/host-store.ts'
import { measures } from '../../state/host/measuring.ts'
import { console as text } from '../../strings/host.ts'
import { Ask } from './ask.tsx'

export function Candidate() {
  const candidate = overview.value?.candidate
  if (!candidate) return null
  const { contributions, digest, measured, state } = candidate
  return (
    <section class="notice notice-warm host-candidate" data-testid="host-candidate" data-state={state}>
      <p role="status">
        {state === 'held' && measured
          ? text.candidateHeld(contributions, measured.loss, measured.baseLoss)
          : measures.value
            ? text.candidateMeasuring(contributions)
            : text.candidateWaiting(contributions)}
      </p>
      {state === 'held' && (
        <Ask
          small
          name={text.candidatePublish}
          question={text.candidateQuestion}
          yes={text.candidatePublish}
          testId="host-candidate-publish"
          onYes={() => publishHeldBack(digest)}
        />
      )}
    </section>
  )
}
