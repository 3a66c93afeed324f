import { beforeEach, describe, expect, it } from 'vitest'
import { type At, move, originsOf, roundState, stepOf } from './machine.ts'

describe('the round, step by step', () => {
  beforeEach(() => {
    roundState.value = { at: 'opening' }
  })

  it('goes from the invitation to the result', () => {
    expect(move('opening', { at: 'welcome' })).toBe(true)
    expect(move('welcome', { at: 'loading', continuing: false })).toBe(true)
    expect(move('loading', { at: 'data' })).toBe(true)
    expect(move('data', { at: 'ready' })).toBe(true)
    expect(move('ready', { at: 'training' })).toBe(true)
    expect(move('training', { at: 'paused' })).toBe(true)
    expect(move('paused', { at: 'training' })).toBe(true)
    expect(move(['training', 'paused'], { at: 'reviewing' })).toBe(true)
    expect(move('reviewing', { at: 'sending' })).toBe(true)
    expect(move('sending', { at: 'sent' })).toBe(true)
    expect(move('sent', { at: 'result' })).toBe(true)
    expect(roundState.value.at).toBe('result')
  })

  it('ignores a move from a state that the person has left', () => {
    roundState.value = { at: 'left', erased: false }
    expect(move('reviewing', { at: 'sending' })).toBe(false)
    expect(roundState.value.at).toBe('left')
  })

  it('refuses to compile a move that is not in the drawing, and to make it', () => {
    roundState.value = { at: 'data' }
    // @ts-expect-error nothing is sent before it was reviewed
    expect(move('data', { at: 'sending' })).toBe(false)
    expect(roundState.value.at).toBe('data')
  })

  it('sends from the review alone', () => {
    expect(originsOf('sending')).toEqual(['reviewing'])
  })

  it('shows a step in every state but the dead ends', () => {
    const without = (
      [
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
      ] as At[]
    )
      .concat('sending', 'sent', 'result', 'left', 'failed')
      .filter((at) => stepOf(at) === null)
    expect(without).toEqual(['lost', 'left'])
  })
})
