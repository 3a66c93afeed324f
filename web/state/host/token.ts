/**
 * The host's token: from the link's fragment into this tab's sessionStorage, and out of the address before anybody
 * sees it on the projector. Another tab or machine brings it in its own link. It is sent to the relay alone, in a
 * header.
 */
import { signal } from '@preact/signals'

const STORAGE_KEY = 'oneround-host-token'

/** Null: the console asks for it. */
export const token = signal<string | null>(null)
/** The relay has said that the last one is not its own. */
export const tokenRefused = signal(false)

/** What a header can carry and the relay reads. */
export const isToken = (text: string) => /^[\x21-\x7e]{1,256}$/.test(text)

/** The token in a fragment, null where there is none: `#main` is the page's own link to skip its header. */
export function tokenIn(fragment: string): string | null {
  const text = fragment.slice(1)
  return text !== 'main' && isToken(text) ? text : null
}

/** Once, when the console opens. */
export function takeToken(): void {
  const brought = tokenIn(location.hash)
  if (brought === null) {
    token.value = recall()
    return
  }
  history.replaceState(null, '', location.pathname + location.search)
  keepToken(brought)
}

export function keepToken(given: string): void {
  tokenRefused.value = false
  token.value = given
  try {
    sessionStorage.setItem(STORAGE_KEY, given)
  } catch {
    // Storage is switched off: a reload asks for it again.
  }
}

export function forgetToken(): void {
  token.value = null
  try {
    sessionStorage.removeItem(STORAGE_KEY)
  } catch {
    // Then it was never kept.
  }
}

function recall(): string | null {
  try {
    const kept = sessionStorage.getItem(STORAGE_KEY)
    return kept !== null && isToken(kept) ? kept : null
  } catch {
    return null
  }
}
