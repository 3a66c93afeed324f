/** The terms of a room that not every relay keeps: how its rounds run, and what a private room promises and costs. */
import type { Mode } from '../../../relay/protocol/manifest.ts'
import { privacyInWords } from '../../../relay/protocol/privacy.ts'
import { Choices, NumberField } from '../../components/host/choices.tsx'
import {
  EPSILONS,
  figuresOf,
  mostInRound,
  mostRounds,
  privacyWith,
  ROUNDS_OF_A_CLASS,
  withMode,
  withPrivacy,
} from '../../state/host/plan.ts'
import { plan as text } from '../../strings/host-plan.ts'
import type { PartProps } from './open-room.tsx'

const CLASS = 30

export function PrivacyChoice({ plan, offer: found, model }: PartProps) {
  const { privacy } = plan.value
  if (!found.privacy) return null
  const set = (epsilon: number, clip: number) => {
    plan.value = withPrivacy(plan.peek(), privacyWith(epsilon, clip), found, model)
  }
  const figures = figuresOf(plan.value, model, CLASS)
  return (
    <div class="card">
      <Choices
        legend={text.privacy}
        name="privacy"
        value={privacy ? 'private' : 'open'}
        options={[
          { id: 'open', ...text.privacyNone },
          { id: 'private', ...text.privacyPrivate },
        ]}
        onChange={(id) => {
          plan.value = withPrivacy(plan.peek(), id === 'private' ? privacyWith(8) : null, found, model)
        }}
      />
      {privacy && (
        <div class="plan-numbers">
          <div class="field">
            <label class="field-label" for="plan-epsilon">
              {text.epsilon}
            </label>
            <select
              class="input"
              id="plan-epsilon"
              data-testid="plan-epsilon"
              value={String(privacy.epsilon)}
              aria-describedby="plan-epsilon-note"
              onChange={(event) => set(Number(event.currentTarget.value), privacy.clip)}
            >
              {EPSILONS.map(({ epsilon }) => (
                <option key={epsilon} value={String(epsilon)}>
                  {epsilon}
                </option>
              ))}
            </select>
            <p class="note" id="plan-epsilon-note">
              {text.epsilonNote}
            </p>
          </div>
          <NumberField
            name="clip"
            label={text.clip}
            note={text.clipNote}
            value={privacy.clip}
            least={0.001}
            most={1000}
            step="any"
            onChange={(clip) => set(privacy.epsilon, clip)}
          />
        </div>
      )}
      {figures && (
        <p class="notice notice-warm" data-testid="plan-privacy-worth">
          {text.privacyWorth(CLASS)} {privacyInWords(figures)}
        </p>
      )}
    </div>
  )
}

/** Not asked of a private room: it publishes once. */
export function ModeChoice({ plan, offer: found, model }: PartProps) {
  const { mode, privacy } = plan.value
  if (found.modes.length < 2 || privacy) return null
  const set = (chosen: Mode) => {
    plan.value = withMode(plan.peek(), chosen, found, model)
  }
  return (
    <div class="card">
      <Choices
        legend={text.mode}
        name="mode"
        value={mode.kind}
        options={found.modes.map((id) => ({ id, ...text.modes[id] }))}
        onChange={(kind) => set(kind === 'rounds' ? ROUNDS_OF_A_CLASS : { kind })}
      />
      {mode.kind === 'rounds' && (
        <div class="plan-numbers">
          <NumberField
            name="rounds"
            label={text.rounds}
            value={mode.rounds}
            least={1}
            most={mostRounds(mode.quorum)}
            onChange={(rounds) => set({ ...mode, rounds })}
          />
          <NumberField
            name="quorum"
            label={text.quorum}
            note={text.quorumNote}
            value={mode.quorum}
            least={1}
            most={mostInRound(mode.rounds)}
            onChange={(quorum) => set({ ...mode, quorum })}
          />
          <NumberField
            name="deadline"
            label={text.deadline}
            note={text.deadlineNote}
            value={mode.deadlineSeconds / 60}
            least={1}
            most={10_080}
            onChange={(minutes) => set({ ...mode, deadlineSeconds: 60 * minutes })}
          />
        </div>
      )}
      {mode.kind === 'rounds' && (
        <label class="check">
          <input
            type="checkbox"
            data-testid="plan-late"
            checked={mode.late === 'next'}
            onChange={(event) => set({ ...mode, late: event.currentTarget.checked ? 'next' : 'refuse' })}
          />
          <span>{text.lateCounts}</span>
          <span class="note">{text.lateCountsNote}</span>
        </label>
      )}
    </div>
  )
}
