/** A button for what cannot be undone: pressing it asks, in its own place, and only then does it. */
import { useSignal } from '@preact/signals'
import { working } from '../../state/host/host-store.ts'
import { console as text } from '../../strings/host.ts'
import { Confirm } from '../confirm.tsx'

interface AskProps {
  readonly name: string
  readonly label?: string
  readonly question: string
  readonly yes: string
  readonly testId: string
  readonly disabled?: boolean
  readonly small?: boolean
  readonly onYes: () => unknown
}

export function Ask({ name, label, question, yes, testId, disabled, small, onYes }: AskProps) {
  const asking = useSignal(false)
  if (asking.value) {
    return (
      <Confirm
        question={question}
        yes={yes}
        no={text.cancel}
        testId={testId}
        onYes={() => {
          asking.value = false
          onYes()
        }}
        onNo={() => {
          asking.value = false
        }}
      />
    )
  }
  return (
    <button
      type="button"
      class={small ? 'button button-small' : 'button'}
      aria-label={label}
      data-testid={testId}
      disabled={disabled || working.value !== null}
      onClick={() => {
        asking.value = true
      }}
    >
      {name}
    </button>
  )
}
