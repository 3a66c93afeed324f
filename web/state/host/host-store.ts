/** What the host's console shows, as signals: written by the actions beside this file, read by its screens. */
import { computed, signal } from '@preact/signals'
import { mediumOf } from '../../../models/families/media.ts'
import type { Offer, Overview } from '../../../relay/protocol/host.ts'
import type { Manifest } from '../../../relay/protocol/manifest.ts'
import type { RoomInList } from './host-http.ts'

export const offer = signal<Offer | null>(null)
export const roomList = signal<readonly RoomInList[] | null>(null)

/** The room at hand; null until it is read. */
export const overview = signal<Overview | null>(null)
/** The room at hand is none any more: its host has deleted it, here or elsewhere. */
export const roomGone = signal(false)
export const hostManifest = signal<Manifest | null>(null)
export const hostManifestDigest = signal('')
/** Whether its model draws, and learns from pictures. */
export const roomDraws = computed(() => mediumOf(hostManifest.value?.base.family ?? '') === 'pictures')
/** False while the relay does not answer; what is shown is then the last it said. */
export const watching = signal(true)

/** What the relay is doing for the host at this moment, by its button, or null. */
export const working = signal<string | null>(null)

/** Published and not retired since: the ones that can be measured and exported. */
export const liveVersions = computed(() => (overview.value?.versions ?? []).filter(({ retired }) => !retired))

export const newestVersion = computed(() => liveVersions.value.at(-1) ?? null)

/** With the join code in the fragment, which browsers send to no server. */
export const joinLink = computed(() => {
  const room = overview.value
  const base = offer.value?.joinBase
  if (!room || base === undefined) return null
  const fragment = room.joinCode === null ? '' : `#${room.joinCode}`
  return new URL(`/join/${room.room}${fragment}`, base).href
})

/** Nobody but this very computer can open such an address. */
export const reachesOnlyItself = computed(() => {
  const base = offer.value?.joinBase
  if (base === undefined) return false
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(base).hostname)
})
