/**
 * Asks the relay for the room at hand again and again: once a second while the console is looked at, less often when
 * it is not. What is shown stays when the relay does not answer, and says so.
 */
import { console as text } from '../../strings/host.ts'
import { toProblem } from '../problems.ts'
import { announcement, problem } from '../store.ts'
import { fetchHostManifest, fetchOverview } from './host-http.ts'
import { hostManifest, hostManifestDigest, overview, roomGone, watching } from './host-store.ts'
import { token } from './token.ts'

const LOOKED_AT_MS = 1000
const IN_BACKGROUND_MS = 5000

let watched = 0

/** Until the returned function is called. */
export function watchRoom(room: string): () => void {
  watched += 1
  const mine = watched
  let timer: ReturnType<typeof setTimeout> | undefined
  const isCurrent = () => mine === watched
  const look = async () => {
    try {
      if (hostManifest.peek()?.room !== room) {
        const found = await fetchHostManifest(room)
        if (!isCurrent()) return
        hostManifest.value = found.manifest
        hostManifestDigest.value = found.digest
      }
      const seen = await fetchOverview(room)
      if (!isCurrent()) return
      show(seen)
      watching.value = true
    } catch (error) {
      if (!isCurrent()) return
      const found = toProblem(error)
      // A relay that is being started again is waited for; another answer is the answer.
      if (found.code === 'network/unreachable' || found.code === 'relay/stopping') watching.value = false
      else {
        if (found.code === 'room/deleted') roomGone.value = true
        else problem.value = found
        return
      }
    }
    timer = setTimeout(look, document.hidden ? IN_BACKGROUND_MS : LOOKED_AT_MS)
  }
  const lookNow = () => {
    if (document.hidden || timer === undefined) return
    clearTimeout(timer)
    void look()
  }
  if (overview.peek()?.room !== room) overview.value = null
  roomGone.value = false
  void look()
  document.addEventListener('visibilitychange', lookNow)
  return () => {
    if (isCurrent()) watched += 1
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', lookNow)
  }
}

/** Whatever the relay answered last counts, from the watch or from an action. */
export function show(seen: NonNullable<typeof overview.value>): void {
  const before = overview.peek()
  if (token.peek() === null) return
  overview.value = seen
  if (before?.room !== seen.room) return
  // What a host who looks elsewhere should hear.
  const newest = seen.versions.at(-1)
  if (newest && seen.versions.length > before.versions.length) {
    announcement.value = text.announceVersion(newest.version, newest.contributions)
  } else if (seen.contributions.length > before.contributions.length) {
    announcement.value = text.announceContribution(seen.contributions.length)
  }
}
