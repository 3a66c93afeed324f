/** The leak lesson: a secret of the reader's own, an experiment that runs here, and what it measured. */
import { LEAK_DEFAULTS } from '../../../lab/leak/experiment.ts'
import { CODE_DIGITS, SECRET_BEGINNING } from '../../../lab/leak/secret.ts'
import { Meter } from '../../components/meter.tsx'
import {
  code,
  codeIsFine,
  copies,
  lessonProgress,
  measures,
  running,
  saveMeasures,
  secondsLeft,
  startLesson,
  stopLesson,
} from '../../state/what-happened/lesson.ts'
import { lesson as text } from '../../strings/lesson.ts'
import { LessonResult } from './lesson-result.tsx'

const COPIES = [1, 4, 8, 16]

export function Lesson() {
  const progress = lessonProgress.value
  return (
    <section class="card" aria-labelledby="lesson-title" data-testid="lesson">
      <div class="screen-head">
        <h2 id="lesson-title">{text.title}</h2>
        <p class="note">{text.lead}</p>
      </div>
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault()
          void startLesson()
        }}
      >
        <p>
          {text.sentenceLead} <strong>{text.sentence(SECRET_BEGINNING, code.value)}</strong>
        </p>
        <div class="lesson-settings">
          <label class="field">
            <span class="field-label">{text.code}</span>
            <input
              class="input"
              inputMode="numeric"
              autocomplete="off"
              maxLength={CODE_DIGITS}
              data-testid="lesson-code"
              aria-invalid={!codeIsFine.value}
              aria-describedby="lesson-code-note"
              disabled={running.value}
              value={code.value}
              onInput={(event) => {
                code.value = event.currentTarget.value
              }}
            />
          </label>
          <label class="field">
            <span class="field-label">{text.copies}</span>
            <select
              class="input"
              data-testid="lesson-copies"
              disabled={running.value}
              value={copies.value}
              onChange={(event) => {
                copies.value = Number(event.currentTarget.value)
              }}
            >
              {COPIES.map((number) => (
                <option key={number} value={number}>
                  {text.copiesOf(number)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <p class="note" id="lesson-code-note" role="status">
          {codeIsFine.value ? '' : text.codeWrong}
        </p>
        <div class="actions">
          {running.value ? (
            <button type="button" class="button" data-testid="lesson-stop" onClick={stopLesson}>
              {text.stop}
            </button>
          ) : (
            <button
              type="submit"
              class="button button-primary"
              data-testid="lesson-start"
              disabled={!codeIsFine.value}
            >
              {measures.value.length > 0 ? text.again : text.start}
            </button>
          )}
          <span class="note">{text.cost}</span>
        </div>
      </form>
      {running.value && (
        <Meter
          label={text.progressLabel}
          words={
            !progress
              ? text.preparing
              : progress.doing === 'training'
                ? text.training(progress.client, LEAK_DEFAULTS.clients)
                : text.measuring
          }
          detail={progress ? text.progressFacts(progress.fraction, secondsLeft.value) : ''}
          fraction={progress?.fraction ?? null}
          testId="lesson-progress"
        />
      )}
      <p class="visually-hidden" role="status">
        {measures.value.length > 0 && text.done(measures.value.length)}
      </p>
      {measures.value.length > 0 && <LessonResult />}
      {measures.value.length > 0 && !running.value && (
        <div class="actions">
          <button type="button" class="button button-small" data-testid="lesson-save" onClick={saveMeasures}>
            {text.save}
          </button>
        </div>
      )}
    </section>
  )
}
