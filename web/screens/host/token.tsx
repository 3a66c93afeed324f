/** Where the console has no token: after the link was typed without it, or when the relay has another. */
import { useSignal } from '@preact/signals'
import { Screen } from '../../components/screen.tsx'
import { isToken, keepToken, tokenIn, tokenRefused } from '../../state/host/token.ts'
import { problem } from '../../state/store.ts'
import { console as text } from '../../strings/host.ts'

/** The whole link may be pasted; of it the fragment counts. */
function tokenOf(pasted: string): string | null {
  const trimmed = pasted.trim()
  const hash = trimmed.indexOf('#')
  if (hash >= 0) return tokenIn(trimmed.slice(hash))
  return isToken(trimmed) ? trimmed : null
}

export function TokenScreen() {
  const pasted = useSignal('')
  const wrong = tokenRefused.value
  const open = () => {
    const given = tokenOf(pasted.value)
    problem.value = null
    // The console then asks the relay, which knows whether it is the right one.
    if (given === null) tokenRefused.value = true
    else keepToken(given)
  }
  return (
    <Screen title={text.tokenTitle} lead={text.tokenLead}>
      <form
        class="card host-narrow"
        onSubmit={(event) => {
          event.preventDefault()
          open()
        }}
      >
        <div class="field">
          <label class="field-label" for="host-token">
            {text.tokenLabel}
          </label>
          <input
            class="input"
            id="host-token"
            data-testid="host-token"
            type="password"
            autocomplete="off"
            required
            value={pasted.value}
            aria-invalid={wrong}
            aria-describedby="host-token-wrong"
            onInput={(event) => {
              pasted.value = event.currentTarget.value
              tokenRefused.value = false
            }}
          />
          <p class="host-field-problem" id="host-token-wrong" role="alert" data-testid="host-token-wrong">
            {wrong && text.tokenWrong}
          </p>
        </div>
        <div class="actions">
          <button type="submit" class="button button-primary" data-testid="host-enter">
            {text.tokenOpen}
          </button>
        </div>
      </form>
    </Screen>
  )
}
