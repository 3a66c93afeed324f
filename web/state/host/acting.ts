/** What the host does to a room: one thing at a time, each answered by the room as it then is. */
import type { Overview } from '../../../relay/protocol/host.ts'
import { toProblem } from '../problems.ts'
import { problem } from '../store.ts'
import * as relay from './host-http.ts'
import { hostManifest, offer, overview, roomList, working } from './host-store.ts'
import { go } from './place.ts'
import { manifestOf, newJoinCode, type Plan, roomNameFor } from './plan.ts'
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

/** Throws as the relay does. Returns the room's name. */
export async function openPlanned(plan: Plan, rename: (title: string) => string = (title) => title) {
  const model = offer.peek()?.models.find(({ digest }) => digest === plan.model)
  if (!model) throw new Error('the model is not offered any more')
  const taken = (await relay.fetchRoomList()).map(({ room }) => room)
  const room = roomNameFor(rename(plan.title), taken)
  await relay.createRoom(manifestOf(plan, model, room, randomSeed()))
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
