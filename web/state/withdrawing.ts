/** Taking one's own update out of the room, after it was sent. */
import { effect } from '@preact/signals'
import { openResult } from './comparing.ts'
import { roundState } from './machine.ts'
import { toProblem } from './problems.ts'
import { withdrawUpdate } from './relay.ts'
import { keepSession } from './session.ts'
import { problem, withdrawnBy } from './store.ts'

export async function withdraw(): Promise<void> {
  problem.value = null
  try {
    await withdrawUpdate()
  } catch (error) {
    problem.value = toProblem(error)
  }
}

// Whoever did it, person or host: the receipt is void, and the result says so.
effect(() => {
  if (withdrawnBy.value === null) return
  if (roundState.peek().at === 'sent') openResult()
  keepSession()
})
