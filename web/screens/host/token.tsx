/** Where the console has no token: after the link was typed without it, or when the relay has another. */
import { useSignal } from '@preact/signals'
import { Screen } from '../../components/screen.tsx'
import { fetchOffer } from '../../state/host/host-http.ts'
import { isToken, keepToken, tokenIn } from '../../state/host/token.ts'
import { toProblem } from '../../state/problems.ts'
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
  const wrong = useSignal(false)
  const trying = useSignal(false)
  const open = async () => {
    const given = tokenOf(pasted.value)
    wrong.value = given === null
    if (given === null) return
    trying.value = true
    problem.value = null
    keepToken(given)
    try {
      await fetchOffer()
    } catch (error) {
      const found = toProblem(error)
      if (found.code === 'host/token') wrong.value = true
      else problem.value = found
    } finally {
      trying.value = false
    }
  }
  return (
    <Screen title={text.tokenTitle} lead={text.tokenLead}>
      <form
        class="card host-narrow"
        onSubmit={(event) => {
          event.preventDefault()
          void open()
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
            aria-invalid={wrong.value}
            aria-describedby="host-token-wrong"
            onInput={(event) => {
              pasted.value = event.currentTarget.value
              wrong.value = false
            }}
          />
          <p class="host-field-problem" id="host-token-wrong" role="alert" data-testid="host-token-wrong">
            {wrong.value && text.tokenWrong}
          </p>
        </div>
        <div class="actions">
          <button
            type="submit"
            class="button button-primary"
            data-testid="host-enter"
            disabled={trying.value}
          >
            {text.tokenOpen}
          </button>
        </div>
      </form>
    </Screen>
  )
}
