/**
 * From the address to a room's invitation. What comes after it (the worker, the sockets, the other steps) is
 * fetched once the invitation stands, so that the first view waits for none of it.
 */
import { problems } from '../strings/problems.ts'
import { codeInLink, isKnownPath, parseAddress } from './address.ts'
import { move } from './machine.ts'
import { PageError, toProblem } from './problems.ts'
import { fetchManifest, fetchRoomNews, fetchRooms } from './relay-http.ts'
import { beginSession } from './session.ts'
import { loadSession, type SavedSession } from './storage.ts'
import {
  address,
  joinCode,
  manifest,
  manifestDigest,
  problem,
  resetRound,
  roomKept,
  rooms,
  secureContext,
} from './store.ts'
import { tabId } from './tab.ts'

export async function open(): Promise<void> {
  address.value = parseAddress(location.pathname, location.search)
  secureContext.value = window.isSecureContext
  joinCode.value = codeInLink(location.hash)
  try {
    if (!isKnownPath(location.pathname)) throw new PageError('page/no-such-address', problems.noSuchAddress)
    const room = address.peek().room ?? (await onlyRoom())
    if (room === null) move('opening', { at: 'choosing' })
    else await enter(room)
  } catch (error) {
    move('opening', { at: 'failed', problem: toProblem(error) })
  }
}

/** The relay's one room; null where the person has to choose. */
async function onlyRoom(): Promise<string | null> {
  rooms.value = await fetchRooms()
  return rooms.peek().length === 1 ? rooms.peek()[0].room : null
}

async function enter(room: string): Promise<void> {
  const found = await fetchManifest(room)
  manifest.value = found.manifest
  manifestDigest.value = found.digest
  document.title = `${found.manifest.title || room} · oneround`
  const tab = await tabId()
  const saved = await savedSession(`${room}/${tab}`)
  beginSession(room, tab, saved)
  if (saved) {
    if (!move('opening', { at: 'loading', continuing: true })) return
    const { restore, followHistory } = await laterParts()
    followHistory()
    await restore(saved)
    return
  }
  if (!move('opening', { at: 'welcome' })) return
  // Only for what the invitation says of the room; joining finds out for itself.
  if (!roomKept.peek()) fetchRoomNews(room).catch(() => {})
  await firstPaint()
  // Shown beside the invitation; a failure stays there until the person joins and it is tried again.
  laterParts()
    .then(({ openDevice, followHistory }) => {
      followHistory()
      return openDevice()
    })
    .catch(() => {})
}

/** The invitation stands on the screen and can be used: what comes later may be loaded now. */
const firstPaint = () =>
  new Promise<void>((resolve) => {
    // A tab in the background paints nothing; the timer is for it.
    const timer = setTimeout(resolve, 500)
    requestAnimationFrame(() =>
      setTimeout(() => {
        clearTimeout(timer)
        resolve()
      }),
    )
  })

/** The actions of all later steps. A relay with a newer page no longer has this page's files. */
async function laterParts() {
  try {
    return await import('./later.ts')
  } catch (cause) {
    throw new PageError('page/part-missing', problems.partMissing, { cause })
  }
}

/** A session of this tab in this very round; one of an earlier manifest is of no use, and the page says so. */
async function savedSession(key: string): Promise<SavedSession | null> {
  const saved = await loadSession(key).catch(() => undefined)
  if (!saved) return null
  if (saved.manifestDigest === manifestDigest.peek()) return saved
  problem.value = { code: 'page/other-round', message: problems.otherRound }
  return null
}

export async function joinRoom(): Promise<void> {
  if (!move('welcome', { at: 'loading', continuing: false })) return
  problem.value = null
  try {
    const { finishJoining } = await laterParts()
    await finishJoining()
  } catch (error) {
    problem.value = toProblem(error)
    move('loading', { at: 'welcome' })
  }
}

/** Starts over from the invitation, after leaving or after a failure. */
export async function openAgain(): Promise<void> {
  if (!move(['left', 'failed'], { at: 'opening' })) return
  resetRound()
  await open()
}
