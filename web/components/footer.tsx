/** What stays true on every screen, and the way to the log of everything sent and received. */
import { useSignal } from '@preact/signals'
import { isRoundPage } from '../state/address.ts'
import { hostSeesMeAs, manifest, receipt } from '../state/store.ts'
import { wireEntries, wireRevision } from '../state/wire.ts'
import { shell } from '../strings/shell.ts'
import { wire as text } from '../strings/wire-button.ts'
import { Later } from './later.tsx'

const loadPanel = async () => (await import('./wire-panel.tsx')).WirePanel

export function Footer() {
  const open = useSignal(false)
  return (
    <footer class="footer">
      <p>{manifest.value?.mode?.kind === 'rounds' ? shell.footerInRounds : shell.footer}</p>
      <HostSeesMeAs />
      <p class="footer-wire">
        <button
          type="button"
          class="link"
          data-testid="wire-open"
          aria-haspopup="dialog"
          onClick={() => {
            open.value = true
          }}
        >
          {text.open}
        </button>
        <WireTotals />
      </p>
      <WhatHappenedLink />
      {open.value && (
        <Later
          load={loadPanel}
          props={{
            onClose: () => {
              open.value = false
            },
          }}
        />
      )}
    </footer>
  )
}

/** A line of its own from the start: the name comes with joining. */
function HostSeesMeAs() {
  if (isRoundPage(location.pathname)) return null
  const name = hostSeesMeAs.value
  return name === '' ? (
    <p>{shell.hostWillSeeMe}</p>
  ) : (
    <p data-testid="pseudonym">{shell.hostSeesMeAs(name)}</p>
  )
}

/** In a tab of its own: whoever trains goes on training here. Their update is named in the fragment, which no server sees. */
function WhatHappenedLink() {
  const room = manifest.value
  if (isRoundPage(location.pathname)) return null
  // Its place is kept until the room is known.
  if (!room) return <p class="footer-place">{shell.whatHappened}</p>
  const own = receipt.value ? `#update=${receipt.value.digest}` : ''
  return (
    <p>
      <a
        href={`/round/${encodeURIComponent(room.room)}${own}`}
        target="_blank"
        rel="noopener"
        data-testid="what-happened"
      >
        {shell.whatHappened}
      </a>
    </p>
  )
}

/** In a component of its own: it changes with every message. */
function WireTotals() {
  wireRevision.value
  let sentBytes = 0
  let receivedBytes = 0
  const entries = wireEntries()
  for (const { direction, bytes } of entries) {
    if (direction === 'out') sentBytes += bytes
    else receivedBytes += bytes
  }
  return <span data-testid="wire-totals">{text.openFacts(entries.length, sentBytes, receivedBytes)}</span>
}
