/**
 * The round as a picture: where each update is after the first so many events of the room's audit log. Pure.
 */
import type { AuditLine } from '../../../relay/protocol/audit.ts'

export interface SceneUpdate {
  readonly digest: string
  readonly contribution: number
  readonly bytes: number
  readonly examples: number
  /** At the relay until a version holds it; the number of the first that did, and whether it was taken back. */
  readonly version: number | null
  readonly withdrawn: boolean
}

export interface SceneVersion {
  readonly version: number
  readonly updates: number
  readonly retired: boolean
}

export interface Scene {
  readonly updates: readonly SceneUpdate[]
  readonly versions: readonly SceneVersion[]
  readonly refused: number
  readonly closed: boolean
}

const EMPTY: Scene = { updates: [], versions: [], refused: 0, closed: false }

export function sceneOf(lines: readonly AuditLine[]): Scene {
  return lines.reduce((scene, { event }) => after(scene, event), EMPTY)
}

function after(scene: Scene, event: AuditLine['event']): Scene {
  const change = (wanted: (update: SceneUpdate) => boolean, part: Partial<SceneUpdate>) =>
    scene.updates.map((update) => (wanted(update) ? { ...update, ...part } : update))
  switch (event.event) {
    case 'accepted': {
      const { digest, contribution, bytes, examples } = event
      const update = { digest, contribution, bytes, examples, version: null, withdrawn: false }
      // The same bytes sent by two people are two contributions and one update.
      return {
        ...scene,
        updates: [...scene.updates.filter((one) => one.contribution !== contribution), update],
      }
    }
    case 'refused':
      return { ...scene, refused: scene.refused + 1 }
    case 'withdrawn':
      return {
        ...scene,
        updates: change((one) => one.contribution === event.contribution, { withdrawn: true }),
      }
    case 'published': {
      const held = new Set<string>(event.updates)
      const version = { version: event.version, updates: event.updates.length, retired: false }
      return {
        ...scene,
        updates: change((one) => one.version === null && held.has(one.digest), { version: event.version }),
        versions: [...scene.versions, version],
      }
    }
    case 'retired':
      return {
        ...scene,
        versions: scene.versions.map((one) =>
          one.version === event.version ? { ...one, retired: true } : one,
        ),
        // What is left of it is merged anew.
        updates: change((one) => one.version === event.version && !one.withdrawn, { version: null }),
      }
    case 'closed':
      return { ...scene, closed: true }
    default:
      return scene
  }
}

export interface Point {
  readonly x: number
  readonly y: number
}

/** The picture's measures, in its own units: on a phone narrower, so that its words stay as large. */
export interface Measures {
  readonly width: number
  readonly devices: number
  readonly relay: number
  readonly versions: number
}
export const WIDE: Measures = { width: 640, devices: 90, relay: 320, versions: 530 }
export const NARROW: Measures = { width: 360, devices: 56, relay: 180, versions: 268 }

const TOP = 70
const ROW = 22
/** Versions have a line of words each. */
const VERSION_ROW = 28

/** Ten a column, then the next column. */
export const GRID_ROWS = 10

const inGrid = (index: number, x: number, toward: 1 | -1): Point => ({
  x: x + toward * 24 * Math.floor(index / GRID_ROWS),
  y: TOP + ROW * (index % GRID_ROWS),
})

export const deviceAt = (index: number, { devices }: Measures): Point => inGrid(index, devices, -1)

export const versionAt = (row: number, { versions }: Measures): Point => ({
  x: versions,
  y: TOP + VERSION_ROW * (row % GRID_ROWS),
})

/** As high as the longest column needs. */
export function heightOf(devices: number, versions: number): number {
  const rows = Math.min(GRID_ROWS, Math.max(1, devices))
  return TOP + Math.max(ROW * rows, VERSION_ROW * Math.min(GRID_ROWS, versions))
}

/** Where each update is drawn, by its number: at the relay while it waits, with its version once it is published. */
export function placesOf({ updates, versions }: Scene, measures: Measures): ReadonlyMap<number, Point> {
  const places = new Map<number, Point>()
  let waiting = 0
  for (const { contribution, version, withdrawn } of updates) {
    if (withdrawn) continue
    const row = versions.findIndex((one) => one.version === version)
    places.set(
      contribution,
      version === null ? inGrid(waiting++, measures.relay, 1) : versionAt(row, measures),
    )
  }
  return places
}
