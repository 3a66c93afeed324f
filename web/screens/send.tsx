/** The upload and then its receipt; from here on the tab may be closed. */
import { Digest } from '../components/digest.tsx'
import { Fact, Facts } from '../components/facts.tsx'
import { Meter } from '../components/meter.tsx'
import { NextRound } from '../components/rounds.tsx'
import { Screen } from '../components/screen.tsx'
import { Withdraw } from '../components/withdraw.tsx'
import { bytes, clockTime } from '../format.ts'
import { openResult } from '../state/comparing.ts'
import {
  latestVersion,
  manifest,
  missingUpdates,
  receipt,
  relayOnline,
  sentBytes,
  update,
  versionHasOwn,
} from '../state/store.ts'
import { send as text } from '../strings/send.ts'

export function SendScreen() {
  const stored = receipt.value
  if (stored === null) return <Sending />
  return (
    <Screen
      title={text.title.sent}
      lead={manifest.value?.mode?.kind === 'rounds' ? text.lead.sentInRound : text.lead.sent}
    >
      <section class="card receipt" aria-labelledby="receipt-title" data-testid="receipt">
        <div class="receipt-title">
          <svg class="receipt-mark" viewBox="0 0 28 28" aria-hidden="true">
            <circle class="receipt-ground" cx="14" cy="14" r="14" />
            <path class="receipt-tick" d="M 8.5 14.5 l 3.8 3.8 l 7.4 -8" />
          </svg>
          <h2 id="receipt-title">{text.receiptTitle}</h2>
        </div>
        <Facts>
          <Fact name={text.digest}>
            <Digest value={stored.digest} testId="receipt-digest" />
            {update.value?.digest === stored.digest && (
              <span class="note" data-testid="receipt-matches">
                {text.digestMatches}
              </span>
            )}
          </Fact>
          <Fact name={text.time} testId="receipt-time">
            <time dateTime={stored.acceptedAt}>{clockTime(stored.acceptedAt)}</time>
          </Fact>
          <Fact name={text.size} testId="receipt-bytes">
            {bytes(stored.bytes)}
          </Fact>
          <Fact name={text.serverSays} testId="receipt-words">
            {text.serverWords(stored.contribution, stored.examples)}
          </Fact>
        </Facts>
      </section>
      <div class="actions">
        <button type="button" class="button button-primary" data-testid="result-open" onClick={openResult}>
          {text.toResult}
        </button>
        <span class="note" role="status">
          {versionHasOwn.value && latestVersion.value
            ? text.ready(latestVersion.value.version)
            : waitingWords()}
        </span>
      </div>
      <NextRound />
      <p class="note">{text.stayOrGo}</p>
      <Withdraw />
    </Screen>
  )
}

function waitingWords(): string {
  const missing = missingUpdates.value
  return missing === null ? text.waiting : text.waitingFor(missing)
}

function Sending() {
  const total = update.value?.updateBytes ?? 0
  const sent = sentBytes.value
  const words = !relayOnline.value
    ? text.reconnecting
    : sent < total
      ? text.progress(sent, total)
      : text.waitingForReceipt
  return (
    <Screen title={text.title.sending} lead={text.lead.sending}>
      <div class="card">
        <Meter
          label={text.progressLabel}
          words={words}
          fraction={total > 0 && sent < total ? sent / total : null}
          testId="send-progress"
        />
      </div>
    </Screen>
  )
}
