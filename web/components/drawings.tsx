/** Captions drawn by base, own and merged from the same noise, side by side; downloads as one PNG. */
import {
  captionsOf,
  type Drawing,
  drawingNow,
  drawings,
  drawSteps,
  drawWithAll,
  guidance,
  MOST_CAPTIONS,
  saveDrawings,
  seed,
  stopDrawing,
  typedCaptions,
} from '../state/drawing.ts'
import { sampleCredit } from '../state/picture-samples.ts'
import { loadedVersion } from '../state/store.ts'
import { pictures as text } from '../strings/pictures.ts'
import { result } from '../strings/result.ts'
import type { Which } from '../worker/api.ts'
import { Credit } from './credit.tsx'
import { PixelPicture } from './pixel-picture.tsx'

const order: readonly Which[] = ['base', 'own', 'merged']

export function Drawings() {
  return (
    <section class="card" aria-labelledby="drawings-title">
      <h2 id="drawings-title">{result.promptTitle}</h2>
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault()
          void drawWithAll()
        }}
      >
        <label class="field-label" for="captions">
          {text.captions}
        </label>
        <textarea
          id="captions"
          class="input captions"
          rows={4}
          maxLength={2000}
          spellcheck={false}
          aria-describedby="captions-note"
          data-testid="captions"
          value={typedCaptions.value}
          onInput={(event) => {
            typedCaptions.value = event.currentTarget.value
          }}
        />
        <p class="note" id="captions-note">
          {text.captionsNote(MOST_CAPTIONS)}
        </p>
        <div class="draw-choices">
          {NUMBERS.map((number) => (
            <NumberField key={number.name} {...number} />
          ))}
        </div>
        <div class="actions">
          {drawingNow.value ? (
            <button type="button" class="button" data-testid="draw-stop" onClick={stopDrawing}>
              {text.stop}
            </button>
          ) : (
            <button
              type="submit"
              class="button button-primary"
              data-testid="draw"
              disabled={captionsOf(typedCaptions.value).length === 0}
            >
              {text.draw}
            </button>
          )}
          <span class="note">{result.modelNote}</span>
        </div>
      </form>
      <Grid />
      <p class="note">{text.modelCredit}</p>
      <p class="note">{text.adapterCredit}</p>
      <Credit credit={sampleCredit} />
    </section>
  )
}

interface NumberFieldProps {
  readonly name: string
  readonly label: string
  readonly note: string
  readonly value: typeof seed
  readonly min: number
  readonly max: number
  readonly step?: number
}

const NUMBERS: readonly NumberFieldProps[] = [
  { name: 'seed', label: text.seed, note: text.seedNote, value: seed, min: 0, max: 999_999 },
  {
    name: 'guidance',
    label: text.guidance,
    note: text.guidanceNote,
    value: guidance,
    min: 1,
    max: 8,
    step: 0.5,
  },
  { name: 'draw-steps', label: text.steps, note: text.stepsNote, value: drawSteps, min: 1, max: 100 },
]

function NumberField({ name, label, note, value, min, max, step = 1 }: NumberFieldProps) {
  return (
    <div class="field">
      <label class="field-label" for={name}>
        {label}
      </label>
      <input
        id={name}
        class="input"
        type="number"
        required
        min={min}
        max={max}
        step={step}
        aria-describedby={`${name}-note`}
        data-testid={name}
        value={value.value}
        onInput={(event) => {
          const { valueAsNumber, validity } = event.currentTarget
          if (validity.valid) value.value = valueAsNumber
        }}
      />
      <p class="note" id={`${name}-note`}>
        {note}
      </p>
    </div>
  )
}

function Grid() {
  const columns = order.map((which) => [which, drawings[which].value] as const)
  const { captions } = drawings.base.value
  if (captions.length === 0) return <p class="note">{text.empty}</p>
  const drawn = columns.some(([, { pictures, active }]) => pictures.length > 0 && !active)
  return (
    <>
      <table class="drawings" data-testid="drawings" data-active={drawingNow.value}>
        <caption class="visually-hidden">{text.tableCaption}</caption>
        <thead>
          <tr>
            <th scope="col" class="drawings-caption">
              {text.captionColumn}
            </th>
            {columns.map(([which, drawing]) => (
              <th
                key={which}
                scope="col"
                class="drawings-column"
                data-testid={`drawn-${which}`}
                data-drawn={isDrawn(drawing)}
              >
                {text.columns[which]}
                <span class="note drawings-state">{stateWords(which, drawing)}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {captions.map((caption, row) => (
            <tr key={caption}>
              <th scope="row" class="drawings-caption">
                {caption}
              </th>
              {columns.map(([which, { pictures, side }]) => (
                <td key={which} class="drawings-cell">
                  {pictures[row] ? (
                    <PixelPicture
                      pixels={pictures[row]}
                      side={side}
                      label={text.cellAlt(caption, result.names[which])}
                      testId={`picture-${which}`}
                    />
                  ) : (
                    <span class="picture picture-missing" />
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <div class="actions">
        <button
          type="button"
          class="button"
          data-testid="drawings-save"
          disabled={!drawn || drawingNow.value}
          onClick={() => void saveDrawings()}
        >
          {text.save}
        </button>
      </div>
    </>
  )
}

const isDrawn = ({ pictures, active }: Drawing) => pictures.length > 0 && !active

function stateWords(which: Which, { active, step, steps, seconds, pictures }: Drawing): string {
  if (which === 'merged' && loadedVersion.value === null) return result.noMerged
  if (active) return steps === 0 ? text.drawing : text.drawStep(step, steps)
  return seconds === null || pictures.length === 0 ? '' : text.seconds(seconds)
}
