/** Taking one's update back, for as long as there is a receipt. */
import { receipt, relayOnline } from '../state/store.ts'
import { withdraw } from '../state/withdrawing.ts'
import { withdraw as text } from '../strings/withdraw.ts'
import { ConfirmedAction } from './confirmed-action.tsx'

export function Withdraw() {
  if (!receipt.value) return null
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
