/**
 * Model files that this browser keeps, by SHA-256: the name is the content, so nothing kept is ever stale and
 * two rooms with one base model share it. The Cache API where there is one (secure contexts), else IndexedDB.
 * What comes back is checked by the caller: a browser may have damaged it, another page of this origin changed it.
 */
import { createStore, del, get, set, type UseStore } from 'idb-keyval'

const CACHE_NAME = 'oneround-models'

export interface FileCache {
  read(sha256: string): Promise<Uint8Array | null>
  /** False when the browser would not keep it (no room, private window). */
  write(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<boolean>
  remove(sha256: string): Promise<void>
}

export function openFileCache(): FileCache {
  return typeof caches === 'undefined' ? indexedDbCache() : cacheApiCache()
}

/** A key, never fetched: the Cache API wants an address. */
const addressOf = (sha256: string) => `/cached-models/${sha256}`

function cacheApiCache(): FileCache {
  return {
    async read(sha256) {
      try {
        const response = await (await caches.open(CACHE_NAME)).match(addressOf(sha256))
        return response ? new Uint8Array(await response.arrayBuffer()) : null
      } catch {
        // A browser that refuses its storage is one without the file: it is downloaded.
        return null
      }
    },
    async write(sha256, bytes) {
      try {
        await (await caches.open(CACHE_NAME)).put(addressOf(sha256), new Response(bytes))
        return true
      } catch {
        return false
      }
    },
    async remove(sha256) {
      await (await caches.open(CACHE_NAME)).delete(addressOf(sha256))
    },
  }
}

function indexedDbCache(): FileCache {
  let opened: UseStore | undefined
  const store = () => {
    opened ??= createStore(CACHE_NAME, 'files')
    return opened
  }
  return {
    async read(sha256) {
      try {
        return (await get<Uint8Array>(sha256, store())) ?? null
      } catch {
        return null
      }
    },
    async write(sha256, bytes) {
      try {
        await set(sha256, bytes, store())
        return true
      } catch {
        return false
      }
    },
    async remove(sha256) {
      await del(sha256, store())
    },
  }
}
