/** What a private room promises and costs: shown where the relay keeps such rooms. */
import { privacyInWords } from '../../../relay/protocol/privacy.ts'
import { Choices, NumberField } from '../../components/host/choices.tsx'
import { EPSILONS, figuresOf, privacyWith, withPrivacy } from '../../state/host/plan.ts'
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
