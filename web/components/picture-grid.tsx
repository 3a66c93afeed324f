/** What will be trained on: every picture as the model sees it, with its caption, which may be written anew. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { cleanCaption, MAX_CAPTION_CHARACTERS } from '../../models/pictures/caption-text.ts'
import { changeCaption } from '../state/picture-files.ts'
import { hasSamples, sampleCredit } from '../state/picture-samples.ts'
import { dataReport } from '../state/store.ts'
import { inWorker } from '../state/worker-client.ts'
import { pictures as text } from '../strings/pictures.ts'
import type { PictureView, PictureViews } from '../worker/api.ts'
import { Credit } from './credit.tsx'
import { PixelPicture } from './pixel-picture.tsx'

/** Fills rows of 2, 3, 4, 6 and 8. */
const A_PAGE = 24

export function PictureGrid({ total }: { readonly total: number }) {
  const asked = useSignal(0)
  const editing = useSignal(false)
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
      <div class="actions">
        <button
          type="button"
          class="button button-small"
          aria-pressed={editing.value}
          data-testid="captions-edit"
          onClick={() => {
            editing.value = !editing.value
          }}
        >
          {editing.value ? text.editDone : text.edit}
        </button>
        {editing.value && <span class="note">{text.editNote}</span>}
      </div>
      {hasSamples.value && <Credit credit={sampleCredit} />}
      <ul class="picture-grid">
        {shown?.pictures.map((view, index) => (
          <li
            key={`${first + index} ${view.name}`}
            class="picture-entry"
            title={view.name}
            data-testid="data-picture"
          >
            <PixelPicture pixels={view.pixels} side={shown.side} label={view.caption} />
            {editing.value ? (
              <CaptionField view={view} />
            ) : (
              <span class="picture-caption" aria-hidden="true">
                {view.caption}
              </span>
            )}
            {view.heldOut && <span class="picture-mark">{text.heldOut}</span>}
          </li>
        ))}
      </ul>
    </section>
  )
}

/** Enter and leaving the field take what was written, Escape and an empty field what was there before. */
function CaptionField({ view: { file, place, name, caption } }: { readonly view: PictureView }) {
  return (
    <textarea
      class="input picture-caption-field"
      rows={3}
      maxLength={MAX_CAPTION_CHARACTERS}
      spellcheck={false}
      aria-label={text.editLabel(name)}
      data-testid="caption-field"
      defaultValue={caption}
      onKeyDown={(event) => {
        if (event.key === 'Escape') event.currentTarget.value = caption
        if (event.key === 'Enter' || event.key === 'Escape') {
          event.preventDefault()
          event.currentTarget.blur()
        }
      }}
      onBlur={({ currentTarget }) => {
        const written = cleanCaption(currentTarget.value)
        if (written === '') currentTarget.value = caption
        else {
          currentTarget.value = written
          if (written !== caption) void changeCaption(file, place, written)
        }
      }}
    />
  )
}
