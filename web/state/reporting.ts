/**
 * Tells the host's console how far this tab is: the stage, the step and the speed, which say nothing about the text.
 * The relay keeps none of it. At most once a second, and only when something changed.
 */
import { effect } from '@preact/signals'
import { PROGRESS_PAUSE_MS } from '../../relay/protocol/limits.ts'
import type { Progress } from '../../relay/protocol/messages.ts'
import { type At, roundState } from './machine.ts'
import { receipt, trainReport } from './store.ts'

type Training = Pick<NonNullable<typeof trainReport.value>, 'step' | 'steps' | 'tokensPerSecond'>

/** Null where there is nothing to say: before the room is joined, and after it is left. */
export function progressOf(at: At, report: Training | null, hasReceipt = true): Progress | null {
  const stage = stageOf(at, hasReceipt)
  if (stage === null) return null
  if (report === null || (stage !== 'training' && stage !== 'paused')) return { stage }
  const { step, steps, tokensPerSecond } = report
  return { stage, step, steps, ...(stage === 'training' && { tokensPerSecond }) }
}

function stageOf(at: At, hasReceipt: boolean): Progress['stage'] | null {
  switch (at) {
    case 'loading':
    case 'lost':
      return 'loading'
    case 'data':
    case 'ready':
      return 'data'
    case 'training':
    case 'paused':
    case 'reviewing':
    case 'sending':
    case 'sent':
      return at
    case 'result':
      return hasReceipt ? 'sent' : 'reviewing'
    default:
      return null
  }
}

/** Until the returned function is called. `online` says whether a report would arrive now. */
export function reportProgress(send: (progress: Progress) => void, online: () => boolean): () => void {
  let told = ''
  let timer: ReturnType<typeof setTimeout> | null = null
  const tell = () => {
    timer = null
    const progress = progressOf(roundState.peek().at, trainReport.peek(), receipt.peek() !== null)
    const text = JSON.stringify(progress)
    if (!progress || text === told || !online()) return
    told = text
    send(progress)
    timer = setTimeout(tell, PROGRESS_PAUSE_MS)
  }
  const stop = effect(() => {
    roundState.value
    trainReport.value
    receipt.value
    // A new connection knows nothing of the one before.
    if (!online()) told = ''
    if (timer === null) tell()
  })
  return () => {
    stop()
    if (timer !== null) clearTimeout(timer)
  }
}
