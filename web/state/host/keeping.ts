/**
 * What this browser keeps for the host, by room: the data to measure on and what was measured, so that a reload
 * measures nothing twice and the projector's window shows the same. It never leaves the browser.
 */
import { createStore, del, get, set, type UseStore } from 'idb-keyval'
import type { Measured } from '../../../models/training/line-search.ts'
import type { LocalFile } from '../../worker/api.ts'

export interface KeptMeasures {
  readonly files: readonly LocalFile[]
  /** Windows of text, or pictures. */
  readonly examples: number
  readonly counted: number
  /** Loss by what was measured: `base`, or a version's digest. */
  readonly losses: Readonly<Record<string, number>>
  /** All that the search for a scale measured, by the version's digest. */
  readonly curves: Readonly<Record<string, readonly Measured[]>>
}

let opened: UseStore | undefined
const store = () => {
  opened ??= createStore('oneround-host', 'measures')
  return opened
}

/** Tells the console's other windows, e.g. the projector's, that something new is kept. */
const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('oneround-host')

/** By the manifest's digest: a room of the same name in another data folder is another room. */
export async function loadMeasures(manifestDigest: string): Promise<KeptMeasures | undefined> {
  const kept = await get<KeptMeasures>(manifestDigest, store())
  // An earlier page kept other fields: the host chooses again.
  return kept?.examples === undefined ? undefined : kept
}

export async function saveMeasures(manifestDigest: string, measures: KeptMeasures): Promise<void> {
  await set(manifestDigest, measures, store())
  channel?.postMessage(manifestDigest)
}

export const forgetMeasures = (manifestDigest: string): Promise<void> => del(manifestDigest, store())

export function onOtherWindow(manifestDigest: string, listener: () => void): () => void {
  const hear = (event: MessageEvent) => {
    if (event.data === manifestDigest) listener()
  }
  channel?.addEventListener('message', hear)
  return () => channel?.removeEventListener('message', hear)
}
