/**
 * The log of everything this page sent and received, over any screen: totals, each message with its contents on
 * demand, the page's own files, and how to check all of it in the browser's own tools.
 */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { bytes, clockTime } from '../format.ts'
import { saveFile } from '../state/save-file.ts'
import { type WireEntry, wireEntries, wireRevision } from '../state/wire.ts'
import { wire as text } from '../strings/wire.ts'
import { hexDump } from './hex.ts'

/** Newest first; more on demand, so that a long upload's hundreds of parts do not slow the page down. */
const SHOWN_AT_FIRST = 100
/** A screenful or two; the whole can be saved. */
const SHOWN_BINARY_BYTES = 1024
const SHOWN_TEXT_CHARACTERS = 20_000

export function WirePanel({ onClose }: { readonly onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself
    <dialog
      ref={dialog}
      class="panel"
      aria-labelledby="wire-title"
      data-testid="wire-panel"
      onClose={onClose}
      onClick={(event) => {
        // A click beside the panel is one on the dialog's own backdrop.
        if (event.target === dialog.current) dialog.current?.close()
      }}
    >
      <div class="panel-body">
        <div class="panel-head">
          <h2 id="wire-title">{text.title}</h2>
          <button
            type="button"
            class="button button-small"
            data-testid="wire-close"
            onClick={() => dialog.current?.close()}
          >
            {text.close}
          </button>
        </div>
        <p class="note">{text.lead}</p>
        <Messages />
        <PageFiles />
        <HowToCheck />
      </div>
    </dialog>
  )
}

function Messages() {
  const shown = useSignal(SHOWN_AT_FIRST)
  wireRevision.value
  const entries = wireEntries()
  if (entries.length === 0) return <p class="note">{text.empty}</p>
  const first = Math.max(0, entries.length - shown.value)
  return (
    <>
      <ol class="wire" data-testid="wire-list">
        {entries
          .slice(first)
          .map((entry, index) => <Message key={first + index} entry={entry} number={first + index + 1} />)
          .reverse()}
      </ol>
      {first > 0 && (
        <button
          type="button"
          class="button button-small"
          onClick={() => {
            shown.value += 5 * SHOWN_AT_FIRST
          }}
        >
          {text.showEarlier(first)}
        </button>
      )}
    </>
  )
}

function Message({ entry, number }: { readonly entry: WireEntry; readonly number: number }) {
  const open = useSignal(false)
  const { direction, event } = entry
  const meaning = event.startsWith('GET ') ? text.request : text.meanings[event]
  return (
    <li class="wire-entry" data-testid="wire-entry" data-direction={direction} data-event={event}>
      <details
        onToggle={(toggled) => {
          open.value = toggled.currentTarget.open
        }}
      >
        <summary class="wire-summary">
          <span class="wire-direction" data-direction={direction}>
            <span aria-hidden="true">{direction === 'out' ? text.sentMark : text.receivedMark}</span>{' '}
            {direction === 'out' ? text.sent : text.received}
          </span>
          <span class="wire-event">
            {event}
            {meaning && <span class="note wire-meaning">{meaning}</span>}
          </span>
          <span class="wire-bytes">{bytes(entry.bytes)}</span>
          <span class="note wire-time">
            {clockTime(entry.time)}
            {entry.earlier && ` (${text.earlier})`}
          </span>
        </summary>
        {open.value && <Contents entry={entry} number={number} />}
      </details>
    </li>
  )
}

function Contents({ entry, number }: { readonly entry: WireEntry; readonly number: number }) {
  const { payload, event } = entry
  if (payload === null) return <p class="note">{text.contentsNotKept}</p>
  if (payload.length === 0) return <p class="note">{text.noContents}</p>
  const isText = typeof payload === 'string'
  const limit = isText ? SHOWN_TEXT_CHARACTERS : SHOWN_BINARY_BYTES
  const shown = isText ? payload.slice(0, limit) : hexDump(payload.subarray(0, limit))
  const cut = payload.length > limit
  return (
    <div class="field">
      {(!isText || cut) && (
        <p class="note">{text.binaryFacts(Math.min(limit, payload.length), payload.length)}</p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box must be reachable by keyboard */}
      <pre class="wire-contents" tabIndex={0} data-testid="wire-contents">
        {shown}
      </pre>
      {cut && (
        <div class="actions">
          <button
            type="button"
            class="button button-small"
            onClick={() =>
              saveFile(text.saveName(event, number), isText ? new TextEncoder().encode(payload) : payload)
            }
          >
            {text.save}
          </button>
        </div>
      )}
    </div>
  )
}

/** Scripts, styles, images: what the browser itself counts for this document. Workers keep counts of their own. */
function PageFiles() {
  const files = performance
    .getEntriesByType('resource')
    .map((entry) => entry as PerformanceResourceTiming)
    .filter(({ name }) => !/\/(api|models|socket\.io)\//.test(new URL(name).pathname))
  const total = files.reduce((sum, file) => sum + file.transferSize, 0)
  return (
    <details class="wire-more">
      <summary>{text.filesTitle}</summary>
      <p class="note">{text.filesLead(files.length, total)}</p>
      <ul class="wire-files">
        {files.map((file, index) => (
          <li key={index}>
            <span>{new URL(file.name).pathname}</span> <span class="note">{bytes(file.transferSize)}</span>
          </li>
        ))}
      </ul>
    </details>
  )
}

function HowToCheck() {
  return (
    <section class="field" aria-labelledby="wire-check-title">
      <h3 id="wire-check-title">{text.checkTitle}</h3>
      <p class="note">{text.checkLead}</p>
      <ol class="wire-check">
        {text.checkSteps.map((step) => (
          <li key={step}>{step}</li>
        ))}
      </ol>
      <Policy />
    </section>
  )
}

/** Asked for again, so that what is shown is what the relay sends and not what this page's makers hope. */
function Policy() {
  const policy = useSignal(text.policyReading)
  useEffect(() => {
    fetch(location.pathname, { method: 'HEAD', cache: 'no-store' })
      .then((response) => {
        policy.value = response.headers.get('Content-Security-Policy') ?? text.policyNone
      })
      .catch(() => {
        policy.value = text.policyMissing
      })
  }, [policy])
  return (
    <>
      <h4 class="field-label">{text.policyTitle}</h4>
      <p class="digest" data-testid="wire-policy">
        {policy.value}
      </p>
    </>
  )
}
