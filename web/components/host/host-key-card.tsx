/** The host's key in other hands: a new one in its place. */
import { useSignal } from '@preact/signals'
import { replaceHostKey } from '../../state/host/acting.ts'
import { working } from '../../state/host/host-store.ts'
import { token } from '../../state/host/token.ts'
import { console as text } from '../../strings/host.ts'
import { Ask } from './ask.tsx'

export function HostKeyCard() {
  const replaced = useSignal(false)
  const link = `${location.origin}/host#${token.value}`
  return (
    <section class="card" aria-labelledby="host-key-title">
      <div class="screen-head">
        <h2 id="host-key-title">{text.hostKeyTitle}</h2>
        <p class="note">{text.hostKeyLead}</p>
      </div>
      <div class="actions">
        <Ask
          name={text.hostKeyMake}
          question={text.hostKeyQuestion}
          yes={text.hostKeyYes}
          testId="host-key"
          onYes={async () => {
            replaced.value = (await replaceHostKey()) || replaced.peek()
          }}
        />
        <span class="note" role="status">
          {working.value === 'host-key' && text.hostKeyMaking}
        </span>
      </div>
      {replaced.value && (
        <div role="status">
          <p>{text.hostKeyNew}</p>
          <p class="mono host-key" data-testid="host-key-link">
            {link}
          </p>
        </div>
      )}
    </section>
  )
}
