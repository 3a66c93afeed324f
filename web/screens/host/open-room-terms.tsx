/** How a round runs and what it promises: shown where the relay offers more than one way. */
import type { Mode } from '../../../relay/protocol/manifest.ts'
import { Choices, NumberField } from '../../components/host/choices.tsx'
import { plan as text } from '../../strings/host-plan.ts'
import type { PartProps } from './open-room.tsx'

/** A class's hour: two rounds, ended by 20 of 30, or after ten minutes. */
const DEFAULT_ROUNDS: Mode = { kind: 'rounds', rounds: 2, quorum: 20, deadlineSeconds: 600, late: 'next' }

const modeOf = (kind: Mode['kind']): Mode => (kind === 'rounds' ? DEFAULT_ROUNDS : { kind })

export function ModeChoice({ plan, offer: found }: PartProps) {
  const { mode } = plan.value
  if (found.modes.length < 2) return null
  const set = (change: object) => {
    plan.value = { ...plan.peek(), mode: { ...mode, ...change } as Mode }
  }
  return (
    <div class="card">
      <Choices
        legend={text.mode}
        name="mode"
        value={mode.kind}
        options={found.modes.map((id) => ({ id, ...text.modes[id] }))}
        onChange={(kind) => {
          plan.value = { ...plan.peek(), mode: modeOf(kind) }
        }}
      />
      {mode.kind === 'rounds' && (
        <div class="plan-numbers">
          <NumberField
            name="rounds"
            label={text.rounds}
            value={mode.rounds}
            least={1}
            most={100}
            onChange={(rounds) => set({ rounds })}
          />
          <NumberField
            name="quorum"
            label={text.quorum}
            value={mode.quorum}
            least={1}
            most={1024}
            onChange={(quorum) => set({ quorum })}
          />
          <NumberField
            name="deadline"
            label={text.deadline}
            value={mode.deadlineSeconds}
            least={1}
            most={604_800}
            onChange={(deadlineSeconds) => set({ deadlineSeconds })}
          />
        </div>
      )}
    </div>
  )
}

/** With epsilon 8 and delta 1e-5 the noise is 0.6 of the clip norm. */
const DEFAULT_PRIVACY = { epsilon: 8, delta: 1e-5, clip: 1 }

export function PrivacyChoice({ plan, offer: found }: PartProps) {
  const { privacy } = plan.value
  if (!found.privacy) return null
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
          plan.value = { ...plan.peek(), privacy: id === 'private' ? DEFAULT_PRIVACY : null }
        }}
      />
      {privacy && (
        <div class="plan-numbers">
          <NumberField
            name="epsilon"
            label={text.epsilon}
            note={text.epsilonNote}
            value={privacy.epsilon}
            least={0.001}
            most={100}
            step="any"
            onChange={(epsilon) => {
              plan.value = { ...plan.peek(), privacy: { ...privacy, epsilon } }
            }}
          />
          <NumberField
            name="clip"
            label={text.clip}
            value={privacy.clip}
            least={0.001}
            most={1000}
            step="any"
            onChange={(clip) => {
              plan.value = { ...plan.peek(), privacy: { ...privacy, clip } }
            }}
          />
        </div>
      )}
    </div>
  )
}
