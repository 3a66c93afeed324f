/** What will be trained on: every picture as the model sees it, with its caption. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { dataReport } from '../state/store.ts'
import { inWorker } from '../state/worker-client.ts'
import { pictures as text } from '../strings/pictures.ts'
import type { PictureViews } from '../worker/api.ts'
import { PixelPicture } from './pixel-picture.tsx'

/** Fills rows of 2, 3, 4, 6 and 8. */
const A_PAGE = 24

export function PictureGrid({ total }: { readonly total: number }) {
  const asked = useSignal(0)
  const views = useSignal<PictureViews | null>(null)
  const report = dataReport.value
  const first = Math.min(asked.value, Math.floor((total - 1) / A_PAGE) * A_PAGE)
  useEffect(() => {
    let wanted = report !== null
    inWorker((api) => api.viewPictures(first, A_PAGE))
      .then((found) => {
        if (wanted) views.value = found
      })
      // The pictures changed meanwhile; the next report asks again.
      .catch(() => {})
    return () => {
      wanted = false
    }
  }, [first, report, views])
  const shown = views.value
  const last = Math.min(first + A_PAGE, total)
  const go = (to: number) => {
    asked.value = to
  }
  return (
    <section class="picture-section" aria-labelledby="picture-grid-title" data-testid="data-pictures-grid">
      <div class="example-head">
        <h3 id="picture-grid-title">{text.gridTitle}</h3>
        {total > A_PAGE && (
          <span class="actions">
            <span class="note" aria-live="polite">
              {text.page(first + 1, last, total)}
            </span>
            <button
              type="button"
              class="button button-small"
              data-testid="pictures-previous"
              disabled={first === 0}
              onClick={() => go(first - A_PAGE)}
            >
              {text.previous}
            </button>
            <button
              type="button"
              class="button button-small"
              data-testid="pictures-next"
              disabled={last === total}
              onClick={() => go(first + A_PAGE)}
            >
              {text.next}
            </button>
          </span>
        )}
      </div>
      {shown && <p class="note">{text.gridLead(shown.side)}</p>}
      <ul class="picture-grid">
        {shown?.pictures.map(({ name, caption, heldOut, pixels }, index) => (
          <li key={`${first + index} ${name}`} class="picture-entry" title={name} data-testid="data-picture">
            <PixelPicture pixels={pixels} side={shown.side} label={caption} />
            <span class="picture-caption" aria-hidden="true">
              {caption}
            </span>
            {heldOut && <span class="picture-mark">{text.heldOut}</span>}
          </li>
        ))}
      </ul>
    </section>
  )
}
