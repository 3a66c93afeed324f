/**
 * Which of this page's requests the service worker answers, and from what. Everything else goes to the network as
 * if there were no service worker: the socket, the base model's files (the page's own worker keeps those, by their
 * digest), uploads and whatever only the host may ask.
 */

/** Names of the caches; the page's "erase everything" deletes whatever begins with `oneround-`. */
export const PAGE_CACHE = 'oneround-page-'
export const ROOMS_CACHE = 'oneround-rooms'

/** Set on an answer that the relay did not give now. */
export const KEPT_HEADER = 'X-Oneround-Kept'

export type Answer =
  /** A screen of the one page: asked of the relay first, so that nobody sees an old page while a newer one is there. */
  | 'page'
  /** A file of a build, by its hashed name: the same wherever it comes from. */
  | 'file'
  /** The list of rooms, or a room's manifest: the relay's word first, else what it said before. */
  | 'room'
  | 'network'

/** `files`: the paths of this build. */
export function answerFor(
  request: { readonly method: string; readonly mode: string; readonly url: string },
  origin: string,
  files: ReadonlySet<string>,
): Answer {
  const url = new URL(request.url)
  if (url.origin !== origin || request.method !== 'GET') return 'network'
  const { pathname } = url
  if (request.mode === 'navigate') return isScreen(pathname) ? 'page' : 'network'
  if (pathname.startsWith('/assets/') || files.has(pathname)) return 'file'
  return /^\/api\/rooms(\/[^/]+\/manifest)?$/.test(pathname) ? 'room' : 'network'
}

/** Those that the relay answers with the page. */
const isScreen = (pathname: string) =>
  pathname === '/' || /^\/((join|round)\/[^/]+|host(\/[^/]+)?)\/?$/.test(pathname)
