/** The end of the round, and what the room was opened with. */
import { endRoom } from '../../state/host/acting.ts'
import {
  hostManifest,
  hostManifestDigest,
  overview,
  roomDraws,
  working,
} from '../../state/host/host-store.ts'
import { console as text } from '../../strings/host.ts'
import { plan } from '../../strings/host-plan.ts'
import { join } from '../../strings/join.ts'
import { Digest } from '../digest.tsx'
import { Fact, Facts } from '../facts.tsx'
import { Ask } from './ask.tsx'

export function EndCard() {
  const seen = overview.value
  const manifest = hostManifest.value
  if (!seen || !manifest) return null
  const { adapter, base, recipe, limits, strategy } = manifest
  return (
    <>
      {!seen.status.closed && (
        <section class="card" aria-labelledby="end-title">
          <div class="screen-head">
            <h2 id="end-title">{text.endTitle}</h2>
            <p class="note">{text.endLead}</p>
          </div>
          <div class="actions">
            <Ask
              name={text.end}
              question={text.endQuestion}
              yes={text.endYes}
              testId="host-close"
              onYes={endRoom}
            />
            <span class="note" role="status">
              {working.value === 'close' && text.ending}
            </span>
          </div>
        </section>
      )}
      <details class="card host-settings">
        <summary>{text.settingsTitle}</summary>
        <Facts>
          <Fact name={text.settingsModel}>
            {base.id}
            <span class="note">
              {join.modelFacts(
                base.files.reduce((sum, { bytes }) => sum + bytes, 0),
                base.license,
              )}
            </span>
          </Fact>
          <Fact name={text.settingsAdapter}>
            {text.settingsAdapterFacts(
              plan.forms[adapter.form ?? 'lora'].name,
              adapter.rank,
              limits.updateBytes,
            )}
          </Fact>
          <Fact name={text.settingsRecipe}>
            {plan.recipeFacts(recipe.steps, recipe.batch, roomDraws.value ? null : recipe.tokens)}
          </Fact>
          <Fact name={text.settingsMerge}>
            {plan.strategies[strategy.id].name}
            <span class="note">{plan.strategies[strategy.id].words}</span>
          </Fact>
          <Fact name={text.settingsDigest}>
            <Digest value={hostManifestDigest.value} />
          </Fact>
        </Facts>
      </details>
    </>
  )
}
