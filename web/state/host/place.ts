/**
 * Where the host's console is, as its address says: `/host`, `/host/ROOM`, and by `?view=` opening a room or the
 * projector. The token is no part of it: it comes in the fragment once and is taken out of the address at once.
 */
import { signal } from '@preact/signals'

export type Place =
  | { readonly view: 'home' }
  | { readonly view: 'new' }
  | { readonly view: 'room'; readonly room: string }
  | { readonly view: 'projector'; readonly room: string }

export function readPlace(path: string, query: string): Place {
  const [, room] = /^\/host\/([a-z0-9-]{1,63})\/?$/.exec(path) ?? []
  const view = new URLSearchParams(query).get('view')
  if (room !== undefined) return { view: view === 'projector' ? 'projector' : 'room', room }
  return { view: view === 'new' ? 'new' : 'home' }
}

export function addressOf(place: Place): string {
  switch (place.view) {
    case 'home':
      return '/host'
    case 'new':
      return '/host?view=new'
    case 'room':
      return `/host/${place.room}`
    case 'projector':
      return `/host/${place.room}?view=projector`
    default: {
      const never: never = place
      return never
    }
  }
}

export const isConsole = (path: string) => /^\/host(\/|$)/.test(path)

export const place = signal<Place>({ view: 'home' })

export function go(to: Place): void {
  history.pushState(null, '', addressOf(to))
  place.value = to
}

/** From now on the browser's own buttons move the console too. */
export function followAddress(): void {
  const read = () => {
    place.value = readPlace(location.pathname, location.search)
  }
  addEventListener('popstate', read)
  read()
}
