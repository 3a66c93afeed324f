import { describe, expect, it } from 'vitest'
import { addressOf, isConsole, type Place, readPlace } from './place.ts'
import { isToken, tokenIn } from './token.ts'

describe('the console’s address', () => {
  it('leads back to the place it was made of', () => {
    const places: Place[] = [
      { view: 'home' },
      { view: 'new' },
      { view: 'room', room: 'poems-of-class-7b' },
      { view: 'projector', room: 'poems-of-class-7b' },
      // A room may be called what a view is called.
      { view: 'room', room: 'new' },
    ]
    for (const place of places) {
      const [path, query = ''] = addressOf(place).split('?')
      expect(isConsole(path)).toBe(true)
      expect(readPlace(path, query && `?${query}`)).toEqual(place)
    }
  })

  it('is the rooms where it names none that can be, and the console alone', () => {
    for (const path of ['/host', '/host/', '/host/%2e%2e', '/host/A b', '/host/a/b']) {
      expect(readPlace(path, '')).toEqual({ view: 'home' })
    }
    for (const path of ['/', '/join/host', '/hosts', '/join/a/host']) expect(isConsole(path)).toBe(false)
  })
})

describe('the host’s token', () => {
  it('is what a header can carry, out of the fragment', () => {
    expect(tokenIn(`#${'0f'.repeat(16)}`)).toBe('0f'.repeat(16))
    for (const none of ['', '#', '#main', '#two words', '#line\nfeed', `#${'x'.repeat(257)}`]) {
      expect(tokenIn(none)).toBeNull()
    }
    expect(isToken('töken')).toBe(false)
  })
})
