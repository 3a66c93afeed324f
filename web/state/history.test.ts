import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changeFor, type Trail, trailIn, wayTo } from './history.ts'
import { type At, steps } from './machine.ts'

const step = fc.constantFrom(...steps)

/** A browser's history as far as the page sees it: entries, and where it stands. */
function walk(visited: readonly (typeof steps)[number][]) {
  const entries: Trail[] = []
  let place = 0
  for (const now of visited) {
    const change = changeFor(now, entries[place] ?? null)
    if (change.do === 'push') {
      place += 1
      entries.splice(place, entries.length, change.trail)
    } else if (change.do === 'replace') entries[place] = change.trail
    else if (change.do === 'go') place += change.delta
  }
  return { entries, place }
}

describe('the history beside the round', () => {
  it('always stands at an entry of the step at hand, and each entry knows its own place', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (visited) => {
        const { entries, place } = walk(visited)
        expect(entries[place].at(-1)).toBe(visited.at(-1))
        expect(entries[place].length).toBe(place + 1)
        for (const [index, trail] of entries.slice(0, place + 1).entries())
          expect(trail.slice(0, index)).toEqual(entries[index - 1] ?? [])
      }),
    )
  })

  it('makes one entry a step on the straight way, and takes back what a button took back', () => {
    expect(walk(['join', 'data', 'train', 'review', 'send', 'result']).entries.at(-1)).toEqual(steps)
    const { entries, place } = walk(['join', 'data', 'train', 'data'])
    expect([entries.length, place]).toEqual([3, 1])
  })

  it('reads only what it has written itself', () => {
    for (const strange of [null, undefined, 7, {}, { trail: [] }, { trail: 'join' }, { trail: ['home'] }]) {
      expect(trailIn(strange)).toBeNull()
    }
    expect(trailIn({ trail: ['join', 'data'] })).toEqual(['join', 'data'])
  })

  it('never leaves a running training or an upload, and never offers a sent update again', () => {
    const has = { text: true, outcome: true }
    for (const at of ['training', 'paused', 'sending'] as const satisfies At[]) {
      for (const wanted of steps) expect(wayTo(wanted, at, has)).toBeNull()
    }
    for (const wanted of ['join', 'data', 'train', 'review'] as const)
      expect(wayTo(wanted, 'sent', has)).toBeNull()
    expect(wayTo('data', 'ready', has)).toBe('data')
    expect(wayTo('train', 'reviewing', has)).toBe('again')
    expect(wayTo('review', 'ready', { ...has, outcome: false })).toBeNull()
  })
})
