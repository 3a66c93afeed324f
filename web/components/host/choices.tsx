/** One choice of several, each with its sentence: radio buttons as cards. And a number with what it may be. */
import { plan as text } from '../../strings/host-plan.ts'

interface ChoicesProps<Id extends string> {
  readonly legend: string
  readonly name: string
  readonly options: readonly { readonly id: Id; readonly name: string; readonly words: string }[]
  readonly value: Id
  readonly onChange: (id: Id) => void
}

export function Choices<Id extends string>({ legend, name, options, value, onChange }: ChoicesProps<Id>) {
  return (
    <fieldset class="choices">
      <legend class="choices-legend">{legend}</legend>
      <div class="choices-list">
        {options.map((option) => (
          <label key={option.id} class="choice" data-checked={option.id === value}>
            <input
              type="radio"
              name={name}
              value={option.id}
              checked={option.id === value}
              data-testid={`plan-${name}-${option.id}`}
              onChange={() => onChange(option.id)}
            />
            <span class="choice-name">{option.name}</span>
            <span class="note choice-words">{option.words}</span>
          </label>
        ))}
      </div>
    </fieldset>
  )
}

interface NumberFieldProps {
  readonly name: string
  readonly label: string
  readonly note?: string
  readonly value: number
  readonly least: number
  readonly most: number
  /** `any`: need not be whole. */
  readonly step?: 'any' | 1
  readonly onChange: (value: number) => void
}

/** What is out of its bounds is not taken; the browser's own words say so when the form is sent. */
export function NumberField(props: NumberFieldProps) {
  const { name, label, note, value, least, most, step = 1, onChange } = props
  return (
    <div class="field host-number">
      <label class="field-label" for={`plan-${name}`}>
        {label}
      </label>
      <input
        class="input"
        type="number"
        inputmode={step === 1 ? 'numeric' : 'decimal'}
        id={`plan-${name}`}
        data-testid={`plan-${name}`}
        required
        min={least}
        max={most}
        step={step}
        value={value}
        aria-describedby={`plan-${name}-note`}
        onInput={(event) => {
          const typed = event.currentTarget.valueAsNumber
          if (typed >= least && typed <= most && (step === 'any' || Number.isInteger(typed))) onChange(typed)
        }}
      />
      <p class="note" id={`plan-${name}-note`}>
        {note ?? text.outOf(least, most)}
      </p>
    </div>
  )
}
