/** What the class needs to get in: QR code, address and code; and the ways to close the door. */
import { useSignal } from '@preact/signals'
import { PlaceLink } from '../../screens/host/console.tsx'
import { clearJoinCode, endJoining, makeJoinCode } from '../../state/host/acting.ts'
import { joinLink, overview, reachesOnlyItself, working } from '../../state/host/host-store.ts'
import { addressOf } from '../../state/host/place.ts'
import { console as text } from '../../strings/host.ts'
import { Ask } from './ask.tsx'
import { OptionWords } from './option-words.tsx'
import { QrCode } from './qr.tsx'

export function InviteCard() {
  const seen = overview.value
  const link = joinLink.value
  if (!seen) return null
  const { joinable, closed } = seen.status
  return (
    <section class="card" aria-labelledby="invite-title">
      <div class="screen-head">
        <h2 id="invite-title">{text.inviteTitle}</h2>
        <p class="note">{joinable ? text.inviteLead : closed ? text.roomEnded : text.joiningEnded}</p>
      </div>
      {joinable && link && (
        <div class="invite">
          <QrCode link={link} />
          <div class="invite-words">
            <p class="invite-address" data-testid="host-address">
              {new URL(link).origin}
              <wbr />
              {new URL(link).pathname}
            </p>
            <JoinCode code={seen.joinCode} />
            <CopyLink link={link} />
          </div>
        </div>
      )}
      {joinable && reachesOnlyItself.value && (
        <p class="notice notice-warm">
          <OptionWords words={text.onlyHere} />
        </p>
      )}
      {joinable && !reachesOnlyItself.value && link?.startsWith('http:') && (
        <p class="notice notice-warm">
          <OptionWords words={text.plainHttp} />
        </p>
      )}
      <div class="actions">
        <PlaceLink
          class="button button-primary"
          to={{ view: 'projector', room: seen.room }}
          testId="host-projector"
        >
          {text.projector}
        </PlaceLink>
        <button
          type="button"
          class="button"
          data-testid="host-projector-window"
          onClick={() => {
            // A window that this one opened gets a copy of its sessionStorage, and with it the token.
            window.open(addressOf({ view: 'projector', room: seen.room }), `oneround-${seen.room}`, 'popup')
          }}
        >
          {text.projectorWindow}
        </button>
        {joinable && (
          <Ask
            name={text.endJoining}
            question={text.endJoiningQuestion}
            yes={text.endJoiningYes}
            testId="host-close-joining"
            onYes={endJoining}
          />
        )}
      </div>
    </section>
  )
}

function JoinCode({ code }: { readonly code: string | null }) {
  const busy = working.value !== null
  return (
    <div class="field">
      <p class="field-label">{text.code}</p>
      {code === null ? (
        <p class="note">{text.codeNone}</p>
      ) : (
        <p class="invite-code" data-testid="host-code">
          {code}
        </p>
      )}
      <div class="actions">
        {code === null ? (
          <button
            type="button"
            class="button button-small"
            data-testid="host-code-make"
            disabled={busy}
            onClick={makeJoinCode}
          >
            {text.codeMake}
          </button>
        ) : (
          <>
            <Ask
              small
              name={text.codeRenew}
              question={text.codeRenewQuestion}
              yes={text.codeRenewYes}
              testId="host-code-renew"
              onYes={makeJoinCode}
            />
            <button
              type="button"
              class="button button-small button-quiet"
              data-testid="host-code-clear"
              disabled={busy}
              onClick={clearJoinCode}
            >
              {text.codeClear}
            </button>
          </>
        )}
      </div>
    </div>
  )
}

function CopyLink({ link }: { readonly link: string }) {
  const said = useSignal('')
  return (
    <p>
      <button
        type="button"
        class="link"
        data-testid="host-copy"
        onClick={() => {
          // Absent on plain HTTP from another machine.
          const copying = navigator.clipboard?.writeText(link) ?? Promise.reject(new Error('no clipboard'))
          copying.then(
            () => {
              said.value = text.copied
            },
            () => {
              said.value = text.copyFailed
            },
          )
        }}
      >
        {text.copy}
      </button>{' '}
      <span class="note" role="status">
        {said.value}
      </span>
    </p>
  )
}
