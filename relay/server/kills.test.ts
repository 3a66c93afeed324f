/** testing/kills.ts, a few times; kills.full.test.ts has many. */
import { it } from 'vitest'
import { surviveKills } from './testing/kills.ts'

it('loses nothing and counts nothing twice over 5 kills under load', () => surviveKills(5), 300_000)
