/** One upload, one receipt. A dropped connection is the client's to mend; only a refusal comes back here. */
import { move } from './machine.ts'
import { toProblem } from './problems.ts'
import { uploadUpdate } from './relay.ts'
import { reviewedBytes } from './reviewing.ts'
import { keepSession } from './session.ts'
import { problem, receipt, sentBytes } from './store.ts'

export async function sendUpdate(): Promise<void> {
  problem.value = null
  sentBytes.value = 0
  if (!move('reviewing', { at: 'sending' })) return
  try {
    receipt.value = await uploadUpdate(reviewedBytes(), (sent) => {
      sentBytes.value = sent
    })
  } catch (error) {
    problem.value = toProblem(error)
    move('sending', { at: 'reviewing' })
    return
  }
  if (move('sending', { at: 'sent' })) keepSession()
}
