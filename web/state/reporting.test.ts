import { parse } from 'valibot'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PROGRESS_PAUSE_MS } from '../../relay/protocol/limits.ts'
import { type Progress, progressSchema } from '../../relay/protocol/messages.ts'
import { type At, roundState } from './machine.ts'
import { progressOf, reportProgress } from './reporting.ts'
import { relayOnline, trainReport } from './store.ts'

const report = { step: 3, steps: 60, tokensPerSecond: 812.5 }

describe('what the host hears of a tab', () => {
  it('is a message of the protocol, or nothing', () => {
    const everywhere: At[] = [
      'opening',
      'choosing',
      'welcome',
      'loading',
      'data',
      'ready',
      'training',
      'paused',
      'lost',
      'reviewing',
      'sending',
      'sent',
      'result',
      'left',
      'failed',
    ]
    for (const at of everywhere) {
      const progress = progressOf(at, report)
      if (progress) expect(parse(progressSchema, progress)).toEqual(progress)
      expect(progress === null).toBe(['opening', 'choosing', 'welcome', 'left', 'failed'].includes(at))
    }
    expect(progressOf('training', report)).toEqual({ stage: 'training', ...report })
    expect(progressOf('paused', report)).toEqual({ stage: 'paused', step: 3, steps: 60 })
    expect(progressOf('reviewing', report)).toEqual({ stage: 'reviewing' })
  })

  describe('in time', () => {
    beforeEach(() => vi.useFakeTimers())
    afterEach(() => {
      vi.useRealTimers()
      roundState.value = { at: 'opening' }
      trainReport.value = null
      relayOnline.value = true
    })

    it('comes at most once a pause, the last word included, and again after a dropped connection', () => {
      const heard: Progress[] = []
      roundState.value = { at: 'training' }
      const stop = reportProgress(
        (progress) => heard.push(progress),
        () => relayOnline.value,
      )
      for (let step = 1; step <= 50; step += 1) {
        trainReport.value = { ...report, step, loss: 2, heldOutLoss: null, secondsLeft: 9 }
      }
      expect(heard.length).toBe(1)
      vi.advanceTimersByTime(PROGRESS_PAUSE_MS)
      expect(heard.map(({ step }) => step)).toEqual([undefined, 50])
      vi.advanceTimersByTime(10 * PROGRESS_PAUSE_MS)
      expect(heard.length).toBe(2)
      relayOnline.value = false
      relayOnline.value = true
      expect(heard.length).toBe(3)
      stop()
      vi.advanceTimersByTime(10 * PROGRESS_PAUSE_MS)
      roundState.value = { at: 'reviewing' }
      expect(heard.length).toBe(3)
    })
  })
})
