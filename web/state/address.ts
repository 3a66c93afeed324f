/** What the page's address asks for: a room, and for tests and curious people a backend and a number of steps. */
import type { BackendChoice } from '../worker/api.ts'
import type { Address } from './store.ts'

const BACKENDS: readonly string[] = ['auto', 'webgpu', 'wasm', 'webgl', 'cpu']

/** `/join/ROOM?backend=wasm&steps=5`; whatever is not understood is as if it were not there. */
export function parseAddress(path: string, query: string): Address {
  const room = /^\/(?:join|round)\/([^/]+)\/?$/.exec(path)?.[1]
  const parameters = new URLSearchParams(query)
  const backend = parameters.get('backend') ?? 'auto'
  const steps = Number(parameters.get('steps'))
  return {
    room: room ? safeDecode(room) : null,
    backend: BACKENDS.includes(backend) ? (backend as BackendChoice) : 'auto',
    steps: Number.isSafeInteger(steps) && steps > 0 ? steps : null,
  }
}

/** What the relay answers with this page although nothing is there: a mistyped or shortened link. */
export const isKnownPath = (path: string) => /^\/(?:(?:join|round)(?:\/[^/]+)?\/?)?$/.test(path)

/** `/round/ROOM`: what happened in a room, for whoever asks; an application of its own, as the host's console is. */
export const isRoundPage = (path: string) => /^\/round\/[^/]+\/?$/.test(path)

/** `#7KQ4-M2XT` of an invitation; `#main` is where the link to skip the header leads. */
export const codeInLink = (fragment: string) =>
  fragment === '#main' ? '' : safeDecode(fragment.slice(1)).trim()

function safeDecode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
