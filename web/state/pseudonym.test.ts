import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pseudonym } from './pseudonym.ts'

const participants = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(''))

it('is two words and a number, the same each time, and seldom two people’s', () => {
  fc.assert(
    fc.property(participants, (participant) => {
      expect(pseudonym(participant)).toMatch(/^[A-Z][a-z]+ [A-Z][a-z]+ \d{1,2}$/)
      expect(pseudonym(participant)).toBe(pseudonym(participant))
    }),
  )
  const many = fc.sample(participants, { numRuns: 300, seed: 1 })
  expect(new Set(many.map(pseudonym)).size).toBeGreaterThan(new Set(many).size - 3)
})
