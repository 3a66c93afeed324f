/** A question before something that cannot be undone: the buttons take the place of the one that was pressed. */
import { useEffect, useRef } from 'preact/hooks'

interface ConfirmProps {
  readonly question: string
  readonly yes: string
  readonly no: string
  readonly onYes: () => void
  readonly onNo: () => void
  /** Prefix of the buttons' test ids. */
  readonly testId: string
}

export function Confirm({ question, yes, no, onYes, onNo, testId }: ConfirmProps) {
  const box = useRef<HTMLElement>(null)
  useEffect(() => box.current?.focus(), [])
  return (
    <section class="card confirm" aria-labelledby={`${testId}-question`} tabIndex={-1} ref={box}>
      <p id={`${testId}-question`}>{question}</p>
      <div class="actions">
        <button type="button" class="button button-danger" data-testid={`${testId}-confirm`} onClick={onYes}>
          {yes}
        </button>
        <button type="button" class="button button-quiet" data-testid={`${testId}-cancel`} onClick={onNo}>
          {no}
        </button>
      </div>
    </section>
  )
}
