import { expect, it } from 'vitest'
import { restMs, wallSeconds } from './pace.ts'

it('rests as long as it works when gentle, never longer than five seconds, and not at all at full pace', () => {
  expect(restMs('full', 400)).toBe(0)
  expect(restMs('gentle', 400)).toBe(400)
  expect(restMs('gentle', 60_000)).toBe(5000)
  expect(wallSeconds('full', 90)).toBe(90)
  expect(wallSeconds('gentle', 90)).toBe(180)
})
