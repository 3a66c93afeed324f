/** Where a room of several rounds stands: the wait for the next one, its beginning, and a review that came too late. */
import { beginNextRound, isLate, roundsOver, setGoesOn, trainAnew } from '../state/rounds.ts'
import { goesOn, manifest, openRound, receipt, roomStatus, roundWaits } from '../state/store.ts'
import { rounds as text } from '../strings/rounds.ts'

/** After sending, in a room of rounds. */
export function NextRound() {
  const status = roomStatus.value?.round
  const sent = receipt.value
  if (manifest.value?.mode?.kind !== 'rounds' || !sent || !status) return null
  return (
    <section class="card" aria-labelledby="rounds-title" data-testid="next-round" data-round={status.round}>
      {roundsOver.value || roomStatus.value?.closed ? (
        <>
          <h2 id="rounds-title">{text.lastTitle}</h2>
          <p data-testid="rounds-over">{text.last}</p>
        </>
      ) : roundWaits.value ? (
        <>
          <h2 id="rounds-title">{text.begunTitle(status.round, status.rounds)}</h2>
          <p role="status">{text.begun}</p>
          <div class="actions">
            <button
              type="button"
              class="button button-primary"
              data-testid="round-begin"
              onClick={beginNextRound}
            >
              {text.begin}
            </button>
          </div>
        </>
      ) : (
        <Waiting round={sent.round ?? status.round} />
      )}
    </section>
  )
}

function Waiting({ round }: { readonly round: number }) {
  const status = roomStatus.value?.round
  if (!status) return null
  const isOpen = openRound.value?.round === round
  return (
    <>
      <h2 id="rounds-title">
        {goesOn.value ? text.waitingTitle(round + 1, status.rounds) : text.stopsTitle}
      </h2>
      {goesOn.value && (
        <p role="status" data-testid="round-waiting">
          {isOpen ? text.waiting(status.received, status.quorum, status.deadline) : text.merging}{' '}
          {text.afterwards}
        </p>
      )}
      <label class="check">
        <input
          type="checkbox"
          data-testid="round-goes-on"
          checked={goesOn.value}
          onChange={(event) => setGoesOn(event.currentTarget.checked)}
        />
        <span>{text.goesOn}</span>
        <span class="note">{text.goesOnNote}</span>
      </label>
    </>
  )
}

/** Above a review whose round is over. */
export function LateNotice() {
  const mode = manifest.value?.mode
  if (!isLate.value || !mode || mode.kind === 'one-shot') return null
  return (
    <section class="card" aria-labelledby="late-title" data-testid="round-late">
      <h2 id="late-title">{text.lateTitle}</h2>
      <p>{text.late[mode.kind === 'sequential' ? 'sequential' : mode.late]}</p>
      <div class="actions">
        <button type="button" class="button" data-testid="round-train-anew" onClick={trainAnew}>
          {text.trainAnew}
        </button>
      </div>
    </section>
  )
}
