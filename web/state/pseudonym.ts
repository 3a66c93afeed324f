/**
 * A name to say aloud for a participant's random number: `Amber Fox 42`. It says nothing about the person, and the
 * host's list and the participant's own page come to the same one.
 */
import { adjectives, animals } from '../strings/pseudonyms.ts'

/** Of 32 hexadecimal digits, the first 12 are used: about 400,000 names. */
export function pseudonym(participant: string): string {
  const part = (from: number, count: number) => Number.parseInt(participant.slice(from, from + 4), 16) % count
  const adjective = adjectives[part(0, adjectives.length)]
  const animal = animals[part(4, animals.length)]
  return `${adjective} ${animal} ${part(8, 98) + 2}`
}
