/** The room in five numbers. */

import { count } from '../../format.ts'
import { overview } from '../../state/host/host-store.ts'
import { console as text } from '../../strings/host.ts'
import { BigNumber } from '../facts.tsx'

export function RoomCounts() {
  const seen = overview.value
  if (!seen) return null
  const { status, participants } = seen
  const training = participants.filter(
    ({ connected, digest, progress }) =>
      connected && digest === null && (progress?.stage === 'training' || progress?.stage === 'paused'),
  ).length
  const { round } = status
  return (
    <dl class="numbers card host-counts">
      <BigNumber name={text.countIn} value={count(status.connected)} testId="host-connected" />
      <BigNumber name={text.countTraining} value={count(training)} testId="host-training" />
      <BigNumber name={text.countSent} value={count(status.contributions)} testId="host-sent" />
      <BigNumber name={text.countWaiting} value={count(status.waiting)} testId="host-waiting" />
      <BigNumber
        name={text.countVersion}
        value={status.versions === 0 ? '–' : count(status.versions)}
        testId="host-version"
      />
      {round && (
        <BigNumber
          name={text.countRound}
          testId="host-round"
          value={
            round.rounds === null ? count(round.round) : `${count(round.round)} / ${count(round.rounds)}`
          }
        />
      )}
    </dl>
  )
}
