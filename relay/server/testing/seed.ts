/** The seed of a long test: new every time, so that runs explore, and printed, so that a failure can be repeated. */
import { randomInt } from 'node:crypto'

/** ONEROUND_SEED, if set, is used instead. */
export function testSeed(name: string): number {
  const given = process.env.ONEROUND_SEED
  const seed = given === undefined ? randomInt(2 ** 31) : Number(given)
  if (!Number.isSafeInteger(seed)) throw new Error(`ONEROUND_SEED must be a whole number, not ${given}`)
  process.stdout.write(`${name}: ONEROUND_SEED=${seed}\n`)
  return seed
}
