/** Everything that would leave this device, before it does; then the person sends or leaves. */
import { useSignal } from '@preact/signals'
import { Digest } from '../components/digest.tsx'
import { Fact, Facts } from '../components/facts.tsx'
import { Screen } from '../components/screen.tsx'
import { bytes } from '../format.ts'
import { leaveRound, setIncludeExamples } from '../state/reviewing.ts'
import { sendUpdate } from '../state/sending.ts'
import { includeExamples, manifest, manifestDigest, outcome, update } from '../state/store.ts'
import { review as text } from '../strings/review.ts'

export function ReviewScreen() {
  const room = manifest.value
  const trained = outcome.value
  const packed = update.value
  if (!room || !trained) return null
  return (
    <Screen title={text.title} lead={text.lead}>
      <p class="note" data-testid="review-trained">
        {text.trained(trained.steps, trained.plannedSteps, trained.stopped)}{' '}
        {trained.best && text.best(trained.best.heldOutLoss, trained.best.step)}
      </p>
      <section class="card" aria-labelledby="sent-title">
        <h2 id="sent-title">{text.sentTitle}</h2>
        <Facts>
          <Fact name={text.size} testId="review-bytes">
            {packed ? bytes(packed.updateBytes) : text.packing}
          </Fact>
          <Fact name={text.content} testId="review-content">
            {packed ? text.contentFacts(packed.tensors, packed.numbers) : '–'}
          </Fact>
          <Fact name={text.encoding}>{text.encodings[room.update.encoding]}</Fact>
          <Fact name={text.examples} testId="review-examples">
            {includeExamples.value
              ? text.examplesFacts(packed?.examples ?? trained.examples)
              : text.examplesLeftOut}
          </Fact>
          <Fact name={text.manifestDigest}>
            <Digest value={manifestDigest.value} />
            <span class="note">{text.manifestDigestFacts}</span>
          </Fact>
          <Fact name={text.digest}>
            <Digest value={packed?.digest ?? '–'} testId="review-digest" />
          </Fact>
        </Facts>
        <label class="check">
          <input
            type="checkbox"
            data-testid="review-include-examples"
            checked={includeExamples.value}
            onChange={(event) => void setIncludeExamples(event.currentTarget.checked)}
          />
          <span>{text.includeExamples}</span>
          <span class="note">{text.includeExamplesNote}</span>
        </label>
      </section>
      <section class="card" aria-labelledby="stays-title">
        <h2 id="stays-title">{text.staysTitle}</h2>
        <ul class="stays">
          {text.stays.map((item) => (
            <li key={item} class="stays-item">
              {item}
            </li>
          ))}
        </ul>
        <p class="note">{text.addressNote}</p>
      </section>
      <section class="card" aria-labelledby="who-title">
        <h2 id="who-title">{text.whoTitle}</h2>
        <dl class="who">
          {text.who.map(([name, words]) => (
            <div key={name}>
              <dt class="who-name">{name}</dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
        <p class={room.publishEvery === 1 ? 'notice notice-warm' : 'notice'}>
          {text.batch(room.publishEvery)}
        </p>
      </section>
      <Choice />
    </Screen>
  )
}

function Choice() {
  const leaving = useSignal(false)
  const packed = update.value
  if (leaving.value) {
    return (
      <section class="card" aria-labelledby="leave-title">
        <h2 id="leave-title">{text.leaveConfirm}</h2>
        <div class="actions">
          <button
            type="button"
            class="button"
            data-testid="review-leave-confirm"
            onClick={() => void leaveRound()}
          >
            {text.leaveYes}
          </button>
          <button
            type="button"
            class="button button-quiet"
            data-testid="review-leave-cancel"
            onClick={() => {
              leaving.value = false
            }}
          >
            {text.leaveNo}
          </button>
        </div>
      </section>
    )
  }
  return (
    <div class="actions">
      <button
        type="button"
        class="button button-primary"
        data-testid="review-send"
        disabled={packed === null}
        onClick={() => void sendUpdate()}
      >
        {packed ? text.send(packed.updateBytes) : text.packing}
      </button>
      <button
        type="button"
        class="button button-quiet"
        data-testid="review-leave"
        onClick={() => {
          leaving.value = true
        }}
      >
        {text.leave}
      </button>
    </div>
  )
}
