import { describe, expect, it } from 'vitest'
import { codeInLink, isKnownPath, parseAddress } from './address.ts'

describe('what the address asks for', () => {
  it('names a room, a backend and fewer steps', () => {
    expect(parseAddress('/join/poets', '?backend=wasm&steps=5')).toEqual({
      room: 'poets',
      backend: 'wasm',
      steps: 5,
    })
  })

  it('may ask for nothing', () => {
    expect(parseAddress('/', '')).toEqual({ room: null, backend: 'auto', steps: null })
  })

  it.each(['?steps=0', '?steps=-3', '?steps=2.5', '?steps=many', '?steps=', '?backend=quantum'])(
    'ignores %s',
    (query) => {
      expect(parseAddress('/join/a', query)).toEqual({ room: 'a', backend: 'auto', steps: null })
    },
  )

  it('may bring the join code, in the part that no server sees', () => {
    expect(codeInLink('#7KQ4-M2XT')).toBe('7KQ4-M2XT')
    expect(codeInLink('')).toBe('')
    expect(codeInLink('#main')).toBe('')
  })

  it.each(['/', '/join', '/join/', '/join/poets', '/join/poets/', '/round/poets'])('knows %s', (path) => {
    expect(isKnownPath(path)).toBe(true)
  })

  it.each(['/joim/poets', '/join/poets/2', '/poets', '//join/poets', '/joinpoets'])(
    'does not know %s',
    (path) => {
      expect(isKnownPath(path)).toBe(false)
    },
  )

  it('does not fall over a broken escape', () => {
    expect(codeInLink('#%E0%A4%A')).toBe('%E0%A4%A')
    expect(parseAddress('/join/%E0%A4%A', '').room).toBe('%E0%A4%A')
  })
})
