/** What the first view does without, as one part to fetch: the way into the room, and back into it. */
export { followHistory } from './history.ts'
export { finishJoining } from './joining.ts'
export { openDevice } from './preparing.ts'
export { restore } from './restoring.ts'

import './rounds.ts'
import './version-contents.ts'
import './withdrawing.ts'
