import { describe, expect, it } from 'vitest'
import { digestOf } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Receipt } from '../protocol/messages.ts'
import * as states from './states.ts'

const membership = { room: 'room', participant: 'a'.repeat(32), token: 'b'.repeat(64) } as states.Membership
const bytes = new Uint8Array(3)
const update: states.PackedUpdate = { bytes, digest: digestOf(bytes) }
const receipt = { digest: update.digest, contribution: 1 } as Receipt

describe('the states of a round', () => {
  it('lead from joining to sent', () => {
    const ready = states.joined(states.joining(), membership, null) as states.Ready
    const paused = states.pause(states.startTraining(ready))
    const reviewing = states.review(states.resume(paused), update)
    const sending = states.progress(states.send(reviewing), 2)
    expect(sending).toEqual({ phase: 'sending', membership, update, sentBytes: 2 })
    expect(states.accepted(sending, receipt)).toEqual({ phase: 'sent', membership, receipt })
  })

  it('lead back from review to training, and from a failed sending to sending', () => {
    const ready = states.joined(states.joining(), membership, null) as states.Ready
    const reviewing = states.review(states.startTraining(ready), update)
    expect(states.startAgain(reviewing)).toEqual(ready)
    const failed = states.failSending(states.send(reviewing), new ProtocolError('network/unreachable'))
    expect(failed.update).toBe(update)
    expect(states.send(failed)).toEqual({ phase: 'sending', membership, update, sentBytes: 0 })
  })

  it('bring whoever has sent back to the receipt', () => {
    expect(states.joined(states.joining(), membership, receipt)).toEqual({
      phase: 'sent',
      membership,
      receipt,
    })
  })

  it('do not compile where a transition is not allowed', () => {
    const illegal = (
      sent: states.Sent,
      ready: states.Ready,
      training: states.Training,
      left: states.Left,
    ) => {
      // @ts-expect-error what is sent cannot be sent again
      states.send(sent)
      // @ts-expect-error nothing is sent that was not reviewed
      states.send(training)
      // @ts-expect-error only training pauses
      states.pause(ready)
      // @ts-expect-error what was accepted stays accepted
      states.fail(sent, new ProtocolError('relay/internal'))
      // @ts-expect-error who has left does not train
      states.startTraining(left)
      // @ts-expect-error a receipt comes only while sending
      states.accepted(ready, receipt)
    }
    // What is tested is that tsc finds an error on each of those lines; `npm test` runs it.
    expect(illegal).toBeTypeOf('function')
  })
})
