/** The invitation: what the room is, what will happen, what this device can do; then the model's download. */
import { DeviceStatus } from '../components/device-status.tsx'
import { Fact, Facts } from '../components/facts.tsx'
import { ModelMeter } from '../components/model-meter.tsx'
import { Screen } from '../components/screen.tsx'
import { roundState } from '../state/machine.ts'
import { joinRoom } from '../state/opening.ts'
import {
  address,
  catalogEntry,
  latestVersion,
  manifest,
  modelBytes,
  plannedSteps,
  roomStatus,
  secureContext,
} from '../state/store.ts'
import { join as text } from '../strings/join.ts'

export function JoinScreen() {
  const room = manifest.value
  const state = roundState.value
  if (!room) return null
  if (state.at === 'loading' && state.continuing) {
    return (
      <Screen title={text.continuing} lead={text.continuingLead}>
        <div class="card">
          <ModelMeter />
        </div>
      </Screen>
    )
  }
  const loading = state.at === 'loading'
  const { recipe } = room
  return (
    <Screen eyebrow={text.eyebrow} title={room.title || room.room} lead={text.lead}>
      {roomStatus.value?.closed && !loading ? (
        <p class="notice notice-warm" data-testid="room-closed">
          {text.closed}
        </p>
      ) : loading ? (
        <div class="card">
          <ModelMeter />
        </div>
      ) : (
        <div class="actions">
          <button type="button" class="button button-primary" data-testid="join-start" onClick={joinRoom}>
            {text.start}
          </button>
        </div>
      )}
      {!secureContext.value && (
        <p class="notice notice-warm" data-testid="insecure">
          {text.insecure}
        </p>
      )}
      <div class="card">
        <Facts>
          <Fact name={text.model} testId="base-model">
            {room.base.id}
            <span class="note">
              {text.modelFacts(modelBytes.value, room.base.license, catalogEntry.value?.parameters)}
            </span>
          </Fact>
          <Fact name={text.training}>
            {text.trainingFacts(plannedSteps.value, recipe.batch, recipe.tokens)}
            {address.value.steps !== null && (
              <span class="note" data-testid="fewer-steps">
                {text.fewerSteps(plannedSteps.value, recipe.steps)}
              </span>
            )}
          </Fact>
          <Fact name={text.publishing} testId="publish-every">
            {text.publishingFacts(room.publishEvery)}
          </Fact>
          <Fact name={text.device}>
            <DeviceStatus />
          </Fact>
        </Facts>
        {room.publishEvery === 1 && (
          <p class="notice notice-warm" data-testid="publish-warning">
            {text.publishingWarning}
          </p>
        )}
      </div>
      <Published />
      <div class="card">
        <h2>{text.stepsTitle}</h2>
        <ol class="agenda">
          {text.whatHappens.map(([name, words]) => (
            <li key={name} class="agenda-item">
              <span class="agenda-name">{name}</span>
              <span class="agenda-words">{words}</span>
            </li>
          ))}
        </ol>
      </div>
    </Screen>
  )
}

/** What the room has published so far: for whoever comes for the result alone. */
function Published() {
  const version = latestVersion.value
  const room = manifest.value
  if (!version || !room) return null
  return (
    <section class="card" aria-labelledby="published-title" data-testid="published">
      <h2 id="published-title">{text.publishedTitle}</h2>
      <p>{text.publishedFacts(version.version, version.contributions)}</p>
      <ul class="actions">
        {version.files.map(({ name, bytes: fileBytes }) => (
          <li key={name}>
            <a
              class="button button-small"
              href={`/api/rooms/${encodeURIComponent(room.room)}/versions/${version.version}/${name}`}
              download={name}
            >
              {text.publishedFile(name, fileBytes)}
            </a>
          </li>
        ))}
      </ul>
    </section>
  )
}
