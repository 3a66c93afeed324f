/** A card with one action that cannot be undone: asked about once more before it is carried out, and carried out once. */
import { useSignal } from '@preact/signals'
import { Confirm } from './confirm.tsx'

interface ConfirmedActionProps {
  readonly title: string
  readonly lead: string
  /** On the button that asks. */
  readonly ask: string
  readonly question: string
  readonly yes: string
  /** In place of `yes` while it is carried out. */
  readonly working: string
  readonly no: string
  /** The button's test id, and the prefix of those of its question. */
  readonly testId: string
  readonly disabled?: boolean
  readonly act: () => Promise<void>
}

export function ConfirmedAction(props: ConfirmedActionProps) {
  const { title, lead, ask, question, yes, working, no, testId, disabled = false, act } = props
  const asking = useSignal(false)
  const acting = useSignal(false)
  return (
    <section class="card" aria-labelledby={`${testId}-title`}>
      <div class="screen-head">
        <h2 id={`${testId}-title`}>{title}</h2>
        <p class="note">{lead}</p>
      </div>
      {asking.value ? (
        <Confirm
          question={question}
          yes={acting.value ? working : yes}
          no={no}
          testId={testId}
          onYes={() => {
            if (acting.peek()) return
            acting.value = true
            void act().finally(() => {
              acting.value = false
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
            data-testid={testId}
            disabled={disabled}
            onClick={() => {
              asking.value = true
            }}
          >
            {ask}
          </button>
        </div>
      )}
    </section>
  )
}
