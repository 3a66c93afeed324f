/** Taking one's update back, for as long as there is a receipt, and in a room of rounds while its round is open. */
import { receipt, relayOnline, roomStatus } from '../state/store.ts'
import { withdraw } from '../state/withdrawing.ts'
import { withdraw as text } from '../strings/withdraw.ts'
import { ConfirmedAction } from './confirmed-action.tsx'

export function Withdraw() {
  const sent = receipt.value
  // A round that is over stays as it is.
  if (!sent || (sent.round !== undefined && sent.round !== roomStatus.value?.round?.round)) return null
  return (
    <ConfirmedAction
      title={text.title}
      lead={text.lead}
      ask={text.ask}
      question={text.confirm}
      yes={text.yes}
      working={text.working}
      no={text.no}
      testId="withdraw"
      disabled={!relayOnline.value}
      act={withdraw}
    />
  )
}
