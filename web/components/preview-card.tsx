/** One caption drawn before training and every so often on the way, always from the same noise. */
import {
  canPreview,
  previewCaption,
  previewing,
  previewNow,
  previews,
  typedPreviewCaption,
} from '../state/drawing.ts'
import { hasSamples, sampleCredit } from '../state/picture-samples.ts'
import { pictures as text } from '../strings/pictures.ts'
import { Credit } from './credit.tsx'
import { PixelPicture } from './pixel-picture.tsx'

export function PreviewCard() {
  const caption = previewCaption.value
  const shown = previews.value.filter((one) => one.caption === caption)
  return (
    <section class="card" aria-labelledby="preview-title">
      <div class="screen-head">
        <h2 id="preview-title">{text.drawTitle}</h2>
        <p class="note">{text.drawLead}</p>
      </div>
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault()
          void previewNow()
        }}
      >
        <label class="note" for="preview-caption">
          {text.drawCaption}
        </label>
        <div class="sample-line">
          <input
            id="preview-caption"
            class="input"
            autocomplete="off"
            maxLength={200}
            data-testid="preview-caption"
            value={caption}
            onInput={(event) => {
              typedPreviewCaption.value = event.currentTarget.value
            }}
          />
          <button
            type="submit"
            class="button"
            data-testid="preview-draw"
            disabled={!canPreview.value || previewing.value || caption.trim() === ''}
          >
            {previewing.value ? text.drawing : text.drawNow}
          </button>
        </div>
      </form>
      <ol class="picture-strip" data-testid="previews" data-active={previewing.value}>
        {shown.map(({ step, side, pixels }) => {
          const when = step === null ? text.drawBefore : text.drawAfter(step)
          return (
            <li key={step ?? 'base'} class="picture-entry" data-testid="preview">
              <PixelPicture pixels={pixels} side={side} label={text.drawAlt(caption, when)} />
              <span class="picture-caption">{when}</span>
            </li>
          )
        })}
        {shown.length === 0 && <li class="note">{text.drawNone}</li>}
      </ol>
      <p class="note">{text.modelCredit}</p>
      {hasSamples.value && <Credit credit={sampleCredit} />}
    </section>
  )
}
