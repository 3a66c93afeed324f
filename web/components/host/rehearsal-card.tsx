/** Simulated students, before the class comes. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { hostManifest, overview, working } from '../../state/host/host-store.ts'
import {
  addStudents,
  goOnRehearsing,
  measuredRecipeSeconds,
  openRehearsal,
  rehearsal,
  stopRehearsal,
} from '../../state/host/rehearsing.ts'
import { preparing } from '../../state/host/worker-queue.ts'
import { isRehearsal } from '../../state/relay-http.ts'
import { console as text } from '../../strings/host.ts'
import { Meter } from '../meter.tsx'
import { ModelMeter } from '../model-meter.tsx'
import { NumberField } from './choices.tsx'

const DEFAULT_STUDENTS = 3
const MOST_STUDENTS = 30
/** Enough to see the whole way and to measure the speed; the whole recipe is a click away. */
const DEFAULT_STEPS = 6

export function RehearsalCard() {
  const manifest = hostManifest.value
  const seen = overview.value
  const students = useSignal(DEFAULT_STUDENTS)
  const most = manifest?.recipe.steps ?? 1
  const steps = useSignal(DEFAULT_STEPS)
  const room = manifest?.room === seen?.room ? seen?.room : undefined
  useEffect(() => {
    if (room !== undefined && isRehearsal(room)) goOnRehearsing()
  }, [room])
  if (!manifest || !seen || (isRehearsal(seen.room) && seen.status.closed)) return null
  const running = rehearsal.value
  const inRehearsal = isRehearsal(seen.room)
  const wanted = Math.min(steps.value, most)
  return (
    <section class="card" aria-labelledby="rehearse-title">
      <div class="screen-head">
        <h2 id="rehearse-title">{text.rehearseTitle}</h2>
        <p class="note">{text.rehearseLead}</p>
      </div>
      {running ? (
        <>
          <div class="host-measuring" data-testid="host-rehearsal" data-student={running.student}>
            {preparing.value ? (
              <ModelMeter />
            ) : (
              <Meter
                label={text.rehearseLabel}
                words={text.rehearsing(running.student, running.students)}
                detail={text.rehearsingStep(running.step, running.steps)}
                fraction={(running.student - 1 + running.step / running.steps) / running.students}
              />
            )}
          </div>
          <div class="actions">
            <button type="button" class="button" data-testid="host-rehearse-stop" onClick={stopRehearsal}>
              {text.rehearseStop}
            </button>
          </div>
        </>
      ) : (
        <form
          class="host-rehearse"
          onSubmit={(event) => {
            event.preventDefault()
            if (inRehearsal) addStudents(students.value, wanted)
            else void openRehearsal(students.value, wanted)
          }}
        >
          <div class="plan-numbers">
            <NumberField
              name="students"
              label={text.rehearseStudents}
              value={students.value}
              least={1}
              most={MOST_STUDENTS}
              onChange={(value) => {
                students.value = value
              }}
            />
            <NumberField
              name="rehearsal-steps"
              label={text.rehearseSteps}
              note={text.rehearseStepsFacts(most)}
              value={wanted}
              least={1}
              most={most}
              onChange={(value) => {
                steps.value = value
              }}
            />
          </div>
          <div class="actions">
            <button
              type="submit"
              class="button"
              data-testid="host-rehearse"
              disabled={working.value !== null}
            >
              {inRehearsal ? text.rehearseMore : text.rehearseStart}
            </button>
          </div>
        </form>
      )}
      <p class="note" role="status" data-testid="host-recipe-time">
        {measuredRecipeSeconds.value !== null && text.recipeTakes(measuredRecipeSeconds.value)}
      </p>
    </section>
  )
}
