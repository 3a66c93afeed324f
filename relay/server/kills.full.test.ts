/** testing/kills.ts, often enough to hit every kind of moment. */
import { it } from 'vitest'
import { surviveKills } from './testing/kills.ts'

it('loses nothing and counts nothing twice over 50 kills under load', () => surviveKills(50), 900_000)
