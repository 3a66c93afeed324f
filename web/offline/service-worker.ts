/**
 * Lets the page open without the relay: keeps the files of one build, all or none, each checked by its SHA-256, so
 * that never a page of one build runs with scripts of another. The answers it keeps have the headers they came with,
 * the policy among them.
 *
 * A screen comes from the relay whenever that answers. Its scripts have the hash of their content in their names, so
 * a newer page finds its own in the cache or on the network and never an older one's. The next build's service worker
 * waits until the last tab of this one is closed, and only then are this one's files deleted: a tab that stays open
 * over an update still finds the parts it has not loaded yet. The tab that brought the first one is taken on at once.
 *
 * Built by vite.config.ts into /service-worker.js, with the list of files put in.
 */
import { answerFor, KEPT_HEADER, PAGE_CACHE, ROOMS_CACHE } from './requests.ts'

interface Build {
  /** Of everything listed. */
  readonly id: string
  readonly files: readonly { readonly path: string; readonly sha256: string }[]
}
declare const __BUILD__: Build
declare const clients: { claim(): Promise<void> }

interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
}

/** Named once: the build puts the whole list in its place. */
const build: Build = __BUILD__

const PAGE = '/index.html'
const cacheName = `${PAGE_CACHE}${build.id}`
const paths = new Set(build.files.map(({ path }) => path))

/** A relay that is there answers sooner; one that is gone may not answer at all. */
const RELAY_TIMEOUT_MS = 4000

const on = <E extends Event>(type: string, listener: (event: E) => void) =>
  self.addEventListener(type, listener as EventListener)

on<ExtendableEvent>('install', (event) => event.waitUntil(keepBuild()))
on<ExtendableEvent>('activate', (event) => event.waitUntil(deleteOtherBuilds().then(() => clients.claim())))
on<FetchEvent>('fetch', (event) => {
  const { request } = event
  switch (answerFor(request, location.origin, paths)) {
    case 'page':
      return event.respondWith(page(request))
    case 'file':
      return event.respondWith(file(request))
    case 'room':
      return event.respondWith(room(request))
    case 'network':
      return
  }
})

/** Throws where a file is not of this build: the relay has been updated meanwhile, and the next try is another's. */
async function keepBuild(): Promise<void> {
  const cache = await caches.open(cacheName)
  for (const { path, sha256 } of build.files) {
    // The relay answers every path of the page with the page; its file has no path of its own there.
    // What the page has loaded already need not travel twice; what has no hash in its name must be the relay's now.
    const cacheMode = path.startsWith('/assets/') ? 'default' : 'no-cache'
    const response = await fetch(path === PAGE ? '/' : path, { cache: cacheMode })
    const digest = await crypto.subtle.digest('SHA-256', await response.clone().arrayBuffer())
    if (!response.ok || hex(digest) !== sha256) {
      await caches.delete(cacheName)
      throw new Error(`${path} is not of this build`)
    }
    await cache.put(path, response)
  }
}

async function deleteOtherBuilds(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(PAGE_CACHE) && name !== cacheName) await caches.delete(name)
  }
}

async function page(request: Request): Promise<Response> {
  try {
    return await inTime(fetch(request))
  } catch (error) {
    const kept = await caches.match(PAGE, { cacheName })
    if (kept) return kept
    throw error
  }
}

async function file(request: Request): Promise<Response> {
  // Of any build that is still kept: the name says which content it is.
  return (await caches.match(new URL(request.url).pathname)) ?? fetch(request)
}

async function room(request: Request): Promise<Response> {
  try {
    const response = await inTime(fetch(request))
    // Whoever has everything erased has erased the page too, and this worker serves that tab until it is closed.
    if (response.ok && (await caches.has(cacheName))) {
      const rooms = await caches.open(ROOMS_CACHE)
      await rooms.put(request.url, response.clone())
    }
    return response
  } catch (error) {
    const kept = await caches.match(request.url, { cacheName: ROOMS_CACHE })
    if (!kept) throw error
    const headers = new Headers(kept.headers)
    headers.set(KEPT_HEADER, '1')
    return new Response(kept.body, { status: kept.status, headers })
  }
}

function inTime(answer: Promise<Response>): Promise<Response> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the relay does not answer')), RELAY_TIMEOUT_MS)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')
