/** What the host does to a room: one thing at a time, each answered by the room as it then is. */
import type { Overview } from '../../../relay/protocol/host.ts'
import type { Manifest } from '../../../relay/protocol/manifest.ts'
import { toProblem } from '../problems.ts'
import { isRehearsal } from '../relay-http.ts'
import { problem } from '../store.ts'
import type { RoomInList } from './host-http.ts'
import * as relay from './host-http.ts'
import { hostManifest, hostManifestDigest, offer, overview, roomList, working } from './host-store.ts'
import { forgetMeasures } from './keeping.ts'
import { go } from './place.ts'
import { manifestOf, needsStart, newJoinCode, type Plan, roomNameFor } from './plan.ts'
import { keepToken } from './token.ts'
import { show } from './watching.ts'

/** Runs one action; its failure is shown, and nothing is changed by it. True where it went through. */
export async function act(name: string, action: () => Promise<Overview | null>): Promise<boolean> {
  if (working.peek() !== null) return false
  working.value = name
  problem.value = null
  try {
    const seen = await action()
    if (seen) show(seen)
    return true
  } catch (error) {
    problem.value = toProblem(error)
    return false
  } finally {
    working.value = null
  }
}

const here = (): string => {
  const room = overview.peek()?.room
  if (room === undefined) throw new Error('no room is at hand')
  return room
}

export const publish = () => act('publish', () => relay.publishNow(here()))
export const endJoining = () => act('close-joining', () => relay.closeJoining(here()))
export const endRoom = () =>
  act('close', async () => {
    await relay.closeRoom(here())
    return relay.fetchOverview(here())
  })
/** For good; the list of rooms is shown next. */
export const deleteRoom = (room: string, manifestDigest: string) =>
  act('delete', async () => {
    await relay.deleteRoom(room)
    roomList.value = roomList.peek()?.filter((one) => one.room !== room) ?? null
    await forgetMeasures(manifestDigest).catch(() => {})
    hostManifest.value = null
    hostManifestDigest.value = ''
    go({ view: 'home' })
    return null
  })

/** One after the other, as far as it goes; then the list is as it is. */
export const deleteRooms = (rooms: readonly RoomInList[]) =>
  act('delete', async () => {
    try {
      for (const { room, manifestDigest } of rooms) {
        await relay.deleteRoom(room)
        await forgetMeasures(manifestDigest).catch(() => {})
      }
    } finally {
      roomList.value = await relay.fetchRoomList()
    }
    return null
  })

export const remove = (digest: string) =>
  act(`remove-${digest}`, () => relay.removeContribution(here(), digest))
export const approve = (digest: string) =>
  act(`approve-${digest}`, () => relay.approveContribution(here(), digest))
export const publishHeldBack = (digest: string) =>
  act('candidate', () => relay.publishCandidate(here(), digest))
export const makeJoinCode = () => act('code', () => relay.setJoinCode(here(), freshCode()))
export const clearJoinCode = () => act('code', () => relay.setJoinCode(here(), null))

/** In this tab the new one is at hand at once; other tabs and machines are asked for it. */
export const replaceHostKey = () =>
  act('host-key', async () => {
    keepToken(await relay.replaceHostKey())
    return null
  })

export const freshCode = () => newJoinCode(crypto.getRandomValues(new Uint8Array(8)))

export async function loadRooms(): Promise<void> {
  try {
    offer.value = await relay.fetchOffer()
    roomList.value = await relay.fetchRoomList()
  } catch (error) {
    const found = toProblem(error)
    // A token that is not right shows the screen that asks for it, which says so itself.
    if (found.code !== 'host/token') problem.value = found
  }
}

const randomSeed = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )

/**
 * A room called after its title, with a number behind where that is taken: by another room, or by one that was deleted,
 * which only the relay knows. Throws as the relay does. Returns the room's name.
 */
export async function createNamed(title: string, manifestFor: (name: string) => Manifest): Promise<string> {
  const taken = (await relay.fetchRoomList()).map(({ room }) => room)
  for (;;) {
    const room = roomNameFor(title, taken)
    try {
      await relay.createRoom(manifestFor(room))
      return room
    } catch (error) {
      if (toProblem(error).code !== 'room/exists' || taken.includes(room)) throw error
      taken.push(room)
    }
  }
}

/** Throws as the relay does. Returns the room's name. */
async function openPlanned(plan: Plan): Promise<string> {
  const offered = offer.peek()?.models.find(({ digest }) => digest === plan.model)
  if (!offered) throw new Error('the model is not offered any more')
  const model = needsStart(plan, offered) ? await relay.makeStart(plan.model, plan.rank) : offered
  // The names of rehearsals are for these: participants are not shown them.
  const title = isRehearsal(roomNameFor(plan.title, [])) ? `room ${plan.title}` : plan.title
  const room = await createNamed(title, (name) => manifestOf(plan, model, name, randomSeed()))
  if (plan.withCode) await relay.setJoinCode(room, freshCode())
  return room
}

export const openRoom = (plan: Plan) =>
  act('open', async () => {
    const room = await openPlanned(plan)
    overview.value = null
    hostManifest.value = null
    go({ view: 'room', room })
    return null
  })
