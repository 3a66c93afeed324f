/**
 * Who this tab is, to itself: an id in sessionStorage, so that a reload is the same participant and a second tab
 * is another. A duplicated tab starts with a copy of its original's sessionStorage; where the browser has Web
 * Locks (secure contexts), the copy notices that its id is taken and makes its own.
 */
const STORAGE_KEY = 'oneround-tab'

const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )

function remember(id: string): string {
  try {
    sessionStorage.setItem(STORAGE_KEY, id)
  } catch {
    // Storage is switched off: this tab is itself until it is reloaded, and the page says that nothing is kept.
  }
  return id
}

function recall(): string | null {
  try {
    return sessionStorage.getItem(STORAGE_KEY)
  } catch {
    return null
  }
}

/** Holds the lock until the tab closes; resolves at once with whether it was free. */
function claim(id: string): Promise<boolean> {
  const { locks } = navigator
  if (!locks) return Promise.resolve(true)
  return new Promise((resolve) => {
    locks
      .request(`oneround-tab-${id}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null)
        return lock === null ? undefined : new Promise<never>(() => {})
      })
      .catch(() => resolve(true))
  })
}

export async function tabId(): Promise<string> {
  const known = recall()
  if (known && /^[0-9a-f]{32}$/.test(known) && (await claim(known))) return known
  const id = remember(newId())
  await claim(id)
  return id
}
