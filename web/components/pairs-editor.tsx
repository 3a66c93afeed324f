/** Questions and answers written by hand: the classroom's most common data. Kept as they are written. */
import { useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import { isBegun, isWritten, PAIRS_FILE_NAME, type Pair, readPairs, SUGGESTED_PAIRS } from '../state/pairs.ts'
import { setPairs } from '../state/reading.ts'
import { files } from '../state/store.ts'
import { data as text } from '../strings/data.ts'

const EMPTY: Pair = { question: '', answer: '' }
const SHOWN_AT_FIRST = 3

/** What was written before, and room for more. */
function startingPairs(): Pair[] {
  const written = readPairs(files.peek().find(({ name }) => name === PAIRS_FILE_NAME))
  const empty = Math.max(1, SHOWN_AT_FIRST - written.length)
  return [...written, ...Array.from({ length: empty }, () => EMPTY)]
}

export function PairsEditor() {
  const pairs = useSignal<readonly Pair[] | null>(null)
  const list = useRef<HTMLOListElement>(null)
  pairs.value ??= startingPairs()
  const shown = pairs.value
  const change = (next: readonly Pair[]) => {
    pairs.value = next
    setPairs(next)
  }
  const edit = (index: number, part: Partial<Pair>) =>
    change(shown.map((pair, position) => (position === index ? { ...pair, ...part } : pair)))
  const written = shown.filter(isWritten).length
  return (
    <div class="pairs">
      <p class="note">{text.pairsLead}</p>
      <ol class="pairs-list" ref={list}>
        {shown.map((pair, index) => (
          <li key={index} class="pair" data-testid="pair">
            <div class="field">
              <label class="note" for={`question-${index}`}>
                {text.question(index + 1)}
              </label>
              <textarea
                id={`question-${index}`}
                class="input pair-input"
                rows={2}
                placeholder={index === 0 ? text.questionPlaceholder : ''}
                data-testid="pair-question"
                value={pair.question}
                onInput={(event) => edit(index, { question: event.currentTarget.value })}
              />
            </div>
            <div class="field">
              <label class="note" for={`answer-${index}`}>
                {text.answer(index + 1)}
              </label>
              <textarea
                id={`answer-${index}`}
                class="input pair-input"
                rows={2}
                placeholder={index === 0 ? text.answerPlaceholder : ''}
                data-testid="pair-answer"
                value={pair.answer}
                onInput={(event) => edit(index, { answer: event.currentTarget.value })}
              />
            </div>
            {isBegun(pair) && !isWritten(pair) && <p class="note pair-note">{text.pairUnfinished}</p>}
          </li>
        ))}
      </ol>
      <div class="actions">
        <button
          type="button"
          class="button button-small"
          data-testid="pair-add"
          onClick={() => {
            pairs.value = [...shown, EMPTY]
            // The new pair's question, as soon as it is there.
            requestAnimationFrame(() =>
              list.current?.querySelector<HTMLElement>(`#question-${shown.length}`)?.focus(),
            )
          }}
        >
          {text.pairAdd}
        </button>
        <span class="note" role="status" data-testid="pair-count">
          {text.pairsWritten(written, SUGGESTED_PAIRS)}
        </span>
      </div>
    </div>
  )
}
