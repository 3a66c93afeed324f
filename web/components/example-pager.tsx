/** The examples one by one as the model sees them: token by token, with what counts for the loss marked. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { dataReport } from '../state/store.ts'
import { inWorker } from '../state/worker-client.ts'
import { data as text } from '../strings/data.ts'
import type { ExampleView } from '../worker/api.ts'

export function ExamplePager({ total }: { readonly total: number }) {
  const index = useSignal(0)
  const view = useSignal<ExampleView | null>(null)
  const report = dataReport.value
  const position = Math.min(index.value, total - 1)
  useEffect(() => {
    let wanted = report !== null
    inWorker((api) => api.viewExample(position))
      .then((found) => {
        if (wanted) view.value = found
      })
      // The text changed meanwhile; the next report asks again.
      .catch(() => {})
    return () => {
      wanted = false
    }
  }, [position, report, view])
  const shown = view.value
  const step = (by: number) => {
    index.value = (position + by + total) % total
  }
  return (
    <figure class="example" data-testid="data-example">
      <figcaption class="example-head">
        <span aria-live="polite">
          {text.exampleTitle(position + 1, total)}
          {shown && (
            <span class="note"> · {text.exampleFacts(shown.tokens, shown.counted, shown.heldOut)}</span>
          )}
        </span>
        <span class="actions">
          <button
            type="button"
            class="button button-small"
            data-testid="example-previous"
            disabled={total < 2}
            onClick={() => step(-1)}
          >
            {text.examplePrevious}
          </button>
          <button
            type="button"
            class="button button-small"
            data-testid="example-next"
            disabled={total < 2}
            onClick={() => step(1)}
          >
            {text.exampleNext}
          </button>
        </span>
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box must be reachable by keyboard */}
      <blockquote class="excerpt" tabIndex={0} data-testid="data-excerpt">
        {shown?.pieces.map((piece, at) => (
          <span key={at} class="token" data-counts={piece.counts}>
            {piece.text}
          </span>
        ))}
      </blockquote>
      <p class="note">
        <span class="token" data-counts="true">
          {text.exampleCountsMark}
        </span>{' '}
        {text.exampleCounts}
      </p>
    </figure>
  )
}
