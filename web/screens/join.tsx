/** The invitation: what the room is, what will happen, what this device can do; then the model's download. */
import { useEffect, useRef } from 'preact/hooks'
import { isStepped } from '../../relay/protocol/manifest.ts'
import { DeviceStatus } from '../components/device-status.tsx'
import { Fact, Facts } from '../components/facts.tsx'
import { ModelMeter } from '../components/model-meter.tsx'
import { Screen } from '../components/screen.tsx'
import { roundState } from '../state/machine.ts'
import { joinRoom } from '../state/opening.ts'
import {
  address,
  catalogEntry,
  joinCode,
  joinCodeWanted,
  latestVersion,
  manifest,
  modelBytes,
  plannedSteps,
  roomStatus,
  secureContext,
} from '../state/store.ts'
import { join as text } from '../strings/join.ts'
import { rounds } from '../strings/rounds.ts'

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
    <Screen
      eyebrow={text.eyebrow}
      title={room.title || room.room}
      lead={room.mode?.kind === 'rounds' ? text.leadInRounds : text.lead}
    >
      {roomStatus.value?.closed && !loading ? (
        <p class="notice notice-warm" data-testid="room-closed">
          {text.closed}
        </p>
      ) : loading ? (
        <div class="card">
          <ModelMeter />
        </div>
      ) : (
        <form
          class="join-form"
          onSubmit={(event) => {
            event.preventDefault()
            void joinRoom()
          }}
        >
          {joinCodeWanted.value && <JoinCodeField />}
          <button type="submit" class="button button-primary" data-testid="join-start">
            {text.start}
          </button>
        </form>
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
          {isStepped(room.mode) ? (
            <Fact name={rounds.fact} testId="room-mode">
              {rounds.mode(room.mode)}
            </Fact>
          ) : (
            <Fact name={text.publishing} testId="publish-every">
              {text.publishingFacts(room.publishEvery)}
            </Fact>
          )}
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

/** For whoever typed the address from the projector; the link and the QR code bring the code along. */
function JoinCodeField() {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => input.current?.focus(), [])
  return (
    <div class="field">
      <label class="field-label" for="join-code">
        {text.code}
      </label>
      <input
        ref={input}
        class="input join-code"
        id="join-code"
        data-testid="join-code"
        autocomplete="off"
        autocapitalize="characters"
        spellcheck={false}
        required
        maxLength={32}
        aria-describedby="join-code-note"
        value={joinCode.value}
        onInput={(event) => {
          joinCode.value = event.currentTarget.value
        }}
      />
      <p class="note" id="join-code-note">
        {text.codeNote}
      </p>
    </div>
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
