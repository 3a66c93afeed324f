/** Everything that would leave this device, before it does; then the person sends it, keeps it or deletes it. */
import { useSignal } from '@preact/signals'
import { Confirm } from '../components/confirm.tsx'
import { Digest } from '../components/digest.tsx'
import { Fact, Facts } from '../components/facts.tsx'
import { LateNotice } from '../components/rounds.tsx'
import { Screen } from '../components/screen.tsx'
import { TensorTable } from '../components/tensor-table.tsx'
import { UpdateChoices } from '../components/update-choices.tsx'
import { WhoCould } from '../components/who-could.tsx'
import { bytes, count } from '../format.ts'
import { openResult } from '../state/comparing.ts'
import { leaveRound } from '../state/reviewing.ts'
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
      <LateNotice />
      <section class="card" aria-labelledby="sent-title">
        <h2 id="sent-title">{text.sentTitle}</h2>
        <Facts>
          <Fact name={text.size} testId="review-bytes">
            {packed ? text.sizeFacts(bytes(packed.updateBytes), count(packed.updateBytes)) : text.packing}
          </Fact>
          <Fact name={text.content} testId="review-content">
            {packed ? text.contentFacts(packed.tensors.length, packed.numbers) : '–'}
          </Fact>
          <Fact name={text.encoding}>{text.encodings[room.update.encoding]}</Fact>
          <Fact name={text.lengthName} testId="review-norm">
            {packed ? text.length(packed.norm, packed.trainedNorm) : '–'}
            <span class="note">{text.lengthLimit(room.limits.changeNorm)}</span>
          </Fact>
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
        {packed && <TensorTable packed={packed} />}
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
      <WhoCould />
      <UpdateChoices />
      <Choice />
    </Screen>
  )
}

function Choice() {
  const leaving = useSignal(false)
  const packed = update.value
  if (leaving.value) {
    return (
      <Confirm
        question={text.leaveConfirm}
        yes={text.leaveYes}
        no={text.leaveNo}
        testId="review-leave"
        onYes={() => void leaveRound()}
        onNo={() => {
          leaving.value = false
        }}
      />
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
      <button type="button" class="button" data-testid="review-keep" onClick={openResult}>
        {text.keep}
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
