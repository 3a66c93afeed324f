/** From the invitation into the room: the relay's word, then device and base model. */
import { move } from './machine.ts'
import { keepPage } from './offline.ts'
import { prepareModel } from './preparing.ts'
import { toProblem } from './problems.ts'
import { connect } from './relay.ts'
import { keepSession } from './session.ts'
import { joinCode, joinCodeWanted, modelReport, problem } from './store.ts'
import { isDeviceProblem, loseDevice } from './worker-client.ts'

/** The round must be at 'loading'. */
export async function finishJoining(): Promise<void> {
  try {
    await connect()
    await prepareModel()
    if (move('loading', { at: 'data' })) keepSession()
    void keepPage()
  } catch (error) {
    const found = toProblem(error)
    if (isDeviceProblem(found) && modelReport.peek()) return loseDevice(found)
    if (found.code === 'join/code') {
      // Whoever has given none yet is asked, not corrected.
      problem.value = joinCode.peek() === '' ? null : found
      joinCodeWanted.value = true
    } else problem.value = found
    move('loading', { at: 'welcome' })
  }
}
