/** From the address to a room's invitation, and from the invitation into the room. */
import { problems } from '../strings.ts'
import { parseAddress } from './address.ts'
import { move } from './machine.ts'
import { openDevice, prepareModel } from './preparing.ts'
import { toProblem } from './problems.ts'
import { connect, fetchManifest, fetchRoomNews, fetchRooms } from './relay.ts'
import { restore } from './restoring.ts'
import { beginSession, keepSession } from './session.ts'
import { loadSession, type SavedSession } from './storage.ts'
import {
  address,
  manifest,
  manifestDigest,
  modelReport,
  problem,
  resetRound,
  rooms,
  secureContext,
} from './store.ts'
import { tabId } from './tab.ts'
import { isDeviceProblem, loseDevice } from './worker-client.ts'

export async function open(): Promise<void> {
  address.value = parseAddress(location.pathname, location.search)
  secureContext.value = window.isSecureContext
  try {
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
    if (move('opening', { at: 'loading', continuing: true })) await restore(saved)
    return
  }
  if (!move('opening', { at: 'welcome' })) return
  // Only for what the invitation says of the room; joining finds out for itself.
  fetchRoomNews(room).catch(() => {})
  // Shown beside the invitation; a failure stays there until the person joins and it is tried again.
  openDevice().catch(() => {})
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
    await connect()
    await prepareModel()
    if (move('loading', { at: 'data' })) keepSession()
  } catch (error) {
    const found = toProblem(error)
    if (isDeviceProblem(found) && modelReport.peek()) return loseDevice(found)
    problem.value = found
    move('loading', { at: 'welcome' })
  }
}

/** Starts over from the invitation, after leaving or after a failure. */
export async function openAgain(): Promise<void> {
  if (!move(['left', 'failed'], { at: 'opening' })) return
  resetRound()
  await open()
}
