/** What the person may change of their own update: the example count left out, the change clipped. */
import { useSignal } from '@preact/signals'
import { significant } from '../format.ts'
import { setClip, setIncludeExamples } from '../state/reviewing.ts'
import { clipNorm, includeExamples, update } from '../state/store.ts'
import { review as text } from '../strings/review.ts'

export function UpdateChoices() {
  const typed = useSignal<string | null>(null)
  const trained = update.value?.trainedNorm ?? null
  const clip = clipNorm.value
  return (
    <section class="card" aria-labelledby="choices-title">
      <h2 id="choices-title">{text.choicesTitle}</h2>
      <label class="check">
        <input
          type="checkbox"
          data-testid="review-include-examples"
          checked={includeExamples.value}
          onChange={(event) => void setIncludeExamples(event.currentTarget.checked)}
        />
        <span>{text.includeExamples}</span>
        <span class="note">{text.includeExamplesNote}</span>
      </label>
      <label class="check">
        <input
          type="checkbox"
          data-testid="review-clip"
          checked={clip !== null}
          disabled={trained === null && clip === null}
          onChange={(event) => {
            typed.value = null
            // Half of it to begin with: a change that shows.
            void setClip(event.currentTarget.checked ? Number(((trained ?? 1) / 2).toPrecision(3)) : null)
          }}
        />
        <span>{text.clip}</span>
        <span class="note">{text.clipNote}</span>
      </label>
      {clip !== null && (
        <div class="field clip">
          <label class="note" for="clip-norm">
            {text.clipTo}
          </label>
          <input
            id="clip-norm"
            class="input"
            type="number"
            inputMode="decimal"
            min="0.001"
            step="any"
            data-testid="review-clip-norm"
            value={typed.value ?? significant(clip)}
            onInput={(event) => {
              typed.value = event.currentTarget.value
            }}
            onChange={(event) => {
              const norm = event.currentTarget.valueAsNumber
              typed.value = null
              if (Number.isFinite(norm) && norm > 0) void setClip(norm)
            }}
          />
        </div>
      )}
    </section>
  )
}
