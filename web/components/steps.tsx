/** The six steps and where the person is; on a phone the bars stay and the current name stands below. */
import { type Step, steps } from '../state/machine.ts'
import { steps as text } from '../strings/shell.ts'

export function Steps({ current }: { readonly current: Step }) {
  const position = steps.indexOf(current)
  return (
    <nav class="steps" aria-label={text.label}>
      <ol class="steps-list">
        {steps.map((step, index) => {
          const status = index < position ? 'done' : index === position ? 'current' : 'ahead'
          return (
            <li
              key={step}
              class="steps-item"
              data-status={status}
              data-testid={`step-${step}`}
              aria-current={status === 'current' ? 'step' : undefined}
            >
              <span class="steps-name">{text.names[step]}</span>
              {status === 'done' && <span class="visually-hidden"> ({text.done})</span>}
            </li>
          )
        })}
      </ol>
      <p class="steps-position" aria-hidden="true">
        {text.position(position + 1, steps.length, text.names[current])}
      </p>
    </nav>
  )
}
