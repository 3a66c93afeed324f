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

/** The picture's measures, in its own units. */
export const PICTURE = { width: 640, height: 300, devices: 90, relay: 320, versions: 550, top: 70, row: 22 }

/** Ten a column, then the next column. */
const GRID_ROWS = 10

const inGrid = (index: number, x: number, toward: 1 | -1): Point => ({
  x: x + toward * 24 * Math.floor(index / GRID_ROWS),
  y: PICTURE.top + PICTURE.row * (index % GRID_ROWS),
})

export const deviceAt = (index: number): Point => inGrid(index, PICTURE.devices, -1)

/** Where each update is drawn: at the relay while it waits, with its version once it is published. */
export function placesOf({ updates, versions }: Scene): ReadonlyMap<number, Point> {
  const places = new Map<number, Point>()
  let waiting = 0
  for (const { contribution, version, withdrawn } of updates) {
    if (withdrawn) continue
    if (version === null) places.set(contribution, inGrid(waiting++, PICTURE.relay, 1))
    else {
      const row = versions.findIndex((one) => one.version === version)
      places.set(contribution, {
        x: PICTURE.versions,
        y: PICTURE.top + PICTURE.row * 1.6 * (row % GRID_ROWS),
      })
    }
  }
  return places
}
