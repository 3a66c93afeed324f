/** The room's audit log in words, newest first. */
import type { AuditEvent } from '../../../relay/protocol/audit.ts'
import { events, ownDigest } from '../../state/what-happened/following.ts'
import { happened as text } from '../../strings/what-happened.ts'

/** A room of hundreds has more than anybody reads; the log itself can be downloaded. */
const MAX_SHOWN = 50

export function Record() {
  const list = events.value.slice(-MAX_SHOWN).toReversed()
  return (
    <section class="card" aria-labelledby="record-title">
      <div class="screen-head">
        <h2 id="record-title">{text.eventsTitle}</h2>
        <p class="note">{text.eventsLead}</p>
      </div>
      {list.length === 0 && <p class="note">{text.none}</p>}
      <ol class="record">
        {list.map(({ sequence, at, event }) => (
          <li key={sequence} class="record-line" data-testid="record-line" data-event={event.event}>
            <time class="note" dateTime={at}>
              {text.at(at)}
            </time>
            <span>
              {wordsOf(event)}
              {'digest' in event && event.digest === ownDigest.value && <strong> ({text.own})</strong>}
            </span>
          </li>
        ))}
      </ol>
    </section>
  )
}

function wordsOf(event: AuditEvent): string {
  const words = text.events
  switch (event.event) {
    case 'accepted':
      return words.accepted(event.contribution, event.bytes, event.examples)
    case 'approved':
      return words.approved(event.contribution)
    case 'withdrawn':
      return words.withdrawn(event.contribution, event.by)
    case 'published':
      return words.published(event.version, event.updates.length)
    case 'retired':
      return words.retired(event.version)
    case 'created':
    case 'refused':
    case 'host-key-replaced':
    case 'joining-closed':
    case 'closed':
      return words[event.event]()
    default:
      return words.other()
  }
}
