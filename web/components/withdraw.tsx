/** Taking one's update back, for as long as there is a receipt. */
import { useSignal } from '@preact/signals'
import { receipt, relayOnline } from '../state/store.ts'
import { withdraw, withdrawing } from '../state/withdrawing.ts'
import { withdraw as text } from '../strings/withdraw.ts'
import { Confirm } from './confirm.tsx'

export function Withdraw() {
  const asking = useSignal(false)
  if (!receipt.value) return null
  return (
    <section class="card" aria-labelledby="withdraw-title">
      <div class="screen-head">
        <h2 id="withdraw-title">{text.title}</h2>
        <p class="note">{text.lead}</p>
      </div>
      {asking.value ? (
        <Confirm
          question={text.confirm}
          yes={withdrawing.value ? text.working : text.yes}
          no={text.no}
          testId="withdraw"
          onYes={() => {
            void withdraw().finally(() => {
              asking.value = false
            })
          }}
          onNo={() => {
            asking.value = false
          }}
        />
      ) : (
        <div class="actions">
          <button
            type="button"
            class="button"
            data-testid="withdraw"
            disabled={!relayOnline.value}
            onClick={() => {
              asking.value = true
            }}
          >
            {text.ask}
          </button>
        </div>
      )}
    </section>
  )
}
