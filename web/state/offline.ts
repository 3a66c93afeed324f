/**
 * The page without the relay: asks the browser to keep the page's files, once the first visit no longer needs the
 * network for something else. Only secure contexts have service workers; a browser that refuses one (a private
 * window, a certificate it does not trust) leaves everything as it is.
 */
import { signal } from '@preact/signals'
import { ROOMS_CACHE } from '../offline/requests.ts'
import { forgotten, manifest } from './store.ts'

/** Everything of the page is kept: it opens without the network. */
export const pageKept = signal(false)

/** The first visit's answers came before there was a service worker to keep them. */
async function keepRoom(): Promise<void> {
  const room = manifest.peek()
  if (!room || forgotten.peek()) return
  const kept = await caches.open(ROOMS_CACHE)
  const put = (path: string, body: unknown) =>
    kept.put(path, new Response(JSON.stringify(body), { headers: { 'Content-Type': 'application/json' } }))
  await put(`/api/rooms/${encodeURIComponent(room.room)}/manifest`, room)
  // For whoever opens the page by its icon, which names no room.
  if (!(await kept.match('/api/rooms'))) {
    await put('/api/rooms', { rooms: [{ room: room.room, title: room.title }] })
  }
}

let asked = false

export async function keepPage(): Promise<void> {
  if (asked || !import.meta.env.PROD || !window.isSecureContext || !navigator.serviceWorker) return
  asked = true
  try {
    await navigator.serviceWorker.register('/service-worker.js', { updateViaCache: 'none' })
    // Resolves with the worker that has the whole build in its cache.
    await navigator.serviceWorker.ready
    await keepRoom()
    pageKept.value = true
  } catch (error) {
    console.info('The page is not kept for use without the network:', error)
  }
}
