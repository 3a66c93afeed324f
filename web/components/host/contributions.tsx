/** Every contribution with its size, weight and length; what the host may do with each, and publishing. */
import { useSignal } from '@preact/signals'
import type { ContributionView, Preview } from '../../../relay/protocol/host.ts'
import { isStepped, type Manifest } from '../../../relay/protocol/manifest.ts'
import { privacyInWords } from '../../../relay/protocol/privacy.ts'
import { bytes, count, significant } from '../../format.ts'
import { approve, publish, remove } from '../../state/host/acting.ts'
import { previewContribution } from '../../state/host/host-http.ts'
import { hostManifest, newestVersion, overview, working } from '../../state/host/host-store.ts'
import { toProblem } from '../../state/problems.ts'
import { pseudonym } from '../../state/pseudonym.ts'
import { problem } from '../../state/store.ts'
import { console as text } from '../../strings/host.ts'
import { plan } from '../../strings/host-plan.ts'
import { rounds } from '../../strings/rounds.ts'
import { Ask } from './ask.tsx'
import { Candidate } from './candidate.tsx'

function publishingOf({ mode, privacy, publishEvery }: Manifest): string {
  if (isStepped(mode)) return rounds.mode(mode)
  return privacy ? plan.publishOnce : text.contributionsLead(publishEvery)
}

export function ContributionsCard() {
  const seen = overview.value
  if (!seen) return null
  const { contributions, status } = seen
  const names = new Map(
    seen.participants.flatMap(({ participant, digest }) => (digest === null ? [] : [[digest, participant]])),
  )
  // Versions hold contributions in the order of their numbers.
  const merged = newestVersion.value?.contributions ?? 0
  const counting = contributions.filter(({ state }) => state === 'counts')
  const newest = newestVersion.value?.version ?? 0
  // In a room of rounds a version holds the contributions of its round and of those before.
  const isMerged = (one: ContributionView) =>
    one.round === undefined ? one.state === 'counts' && counting.indexOf(one) < merged : one.round <= newest
  const manifest = hostManifest.value
  return (
    <section class="card" aria-labelledby="contributions-title">
      <div class="screen-head">
        <h2 id="contributions-title">{text.contributionsTitle}</h2>
        <p class="note">{manifest && publishingOf(manifest)}</p>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box must be reachable by keyboard */}
      <section class="host-list" tabIndex={0} aria-label={text.contributionsList}>
        {contributions.length === 0 ? (
          <p class="host-list-empty">{text.contributionsNone}</p>
        ) : (
          <ul class="host-contributions" data-testid="host-contributions">
            {contributions.map((one) => (
              <Contribution
                key={one.digest}
                one={one}
                from={pseudonym(names.get(one.digest) ?? one.digest)}
                isMerged={isMerged(one)}
              />
            ))}
          </ul>
        )}
      </section>
      {status.privacy && (
        <p class="notice notice-warm" data-testid="host-privacy">
          {privacyInWords(status.privacy)}
        </p>
      )}
      <Candidate />
      {!status.privacy && (
        <div class="actions">
          <Ask
            name={text.publish}
            question={text.publishQuestion(status.waiting)}
            yes={text.publishYes}
            testId="host-publish"
            disabled={status.waiting === 0}
            onYes={publish}
          />
          <span class="note" role="status">
            {working.value === 'publish' ? text.publishing : status.waiting === 0 ? text.publishNothing : ''}
          </span>
        </div>
      )}
    </section>
  )
}

interface ContributionProps {
  readonly one: ContributionView
  readonly from: string
  readonly isMerged: boolean
}

function Contribution({ one, from, isMerged }: ContributionProps) {
  const { contribution, digest, norm, state } = one
  const preview = useSignal<Preview | null>(null)
  const compare = async () => {
    const room = overview.peek()?.room
    if (room === undefined) return
    try {
      preview.value = await previewContribution(room, digest)
    } catch (error) {
      problem.value = toProblem(error)
    }
  }
  const found = preview.value
  return (
    <li class="host-contribution" data-testid="host-contribution" data-digest={digest} data-state={state}>
      <div class="host-contribution-words">
        <p>
          <span class="host-contribution-number">{count(contribution)}</span> <strong>{from}</strong>{' '}
          <span class="host-stage" data-stage={state === 'undecided' ? 'undecided' : 'sent'}>
            {text.states[isMerged ? 'merged' : state]}
          </span>
        </p>
        <p class="note">
          {bytes(one.bytes)} · {text.columnExamples.toLowerCase()} {count(one.examples)} ·{' '}
          {text.columnNorm.toLowerCase()} {norm === null ? text.normUnknown : significant(norm)}
        </p>
        {found && (
          <p class="note" role="status" data-testid="host-preview">
            {text.previewFacts(found.norm, found.medianNorm, found.cosine)}
          </p>
        )}
      </div>
      <div class="actions host-contribution-actions">
        <button
          type="button"
          class="button button-small button-quiet"
          aria-label={text.previewLabel(contribution)}
          data-testid="host-compare"
          onClick={() => void compare()}
        >
          {text.preview}
        </button>
        {state === 'undecided' && (
          <button
            type="button"
            class="button button-small"
            aria-label={text.approveLabel(contribution)}
            data-testid="host-approve"
            disabled={working.value !== null}
            onClick={() => void approve(digest)}
          >
            {text.approve}
          </button>
        )}
        <Ask
          small
          name={text.remove}
          label={text.removeLabel(contribution)}
          question={text.removeQuestion(contribution, from)}
          yes={text.removeYes}
          testId="host-remove"
          onYes={() => remove(digest)}
        />
      </div>
    </li>
  )
}
