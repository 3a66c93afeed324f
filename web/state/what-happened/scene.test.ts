import { describe, expect, it } from 'vitest'
import type { AuditEvent, AuditLine } from '../../../relay/protocol/audit.ts'
import { NARROW, placesOf, sceneOf, WIDE } from './scene.ts'

const digest = (letter: string) => letter.repeat(64) as never
const lines = (...events: object[]): AuditLine[] =>
  events.map((event, i) => ({
    sequence: i + 1,
    hash: digest('0'),
    at: '2026-11-25T12:00:00.000Z',
    event: event as AuditEvent,
  }))
const accepted = (contribution: number, letter: string) => ({
  event: 'accepted',
  participant: 'p',
  contribution,
  digest: digest(letter),
  bytes: 100,
  examples: 2,
})
const published = (version: number, ...letters: string[]) => ({
  event: 'published',
  version,
  digest: digest('f'),
  updates: letters.map(digest),
  files: [],
})

describe('the round as a picture', () => {
  it('keeps updates at the relay until a version holds them', () => {
    const log = lines(
      { event: 'created' },
      accepted(1, 'a'),
      accepted(2, 'b'),
      published(1, 'a', 'b'),
      accepted(3, 'c'),
    )
    expect(sceneOf(log.slice(0, 3)).updates.map(({ version }) => version)).toEqual([null, null])
    const { updates, versions } = sceneOf(log)
    expect(updates.map(({ version }) => version)).toEqual([1, 1, null])
    expect(versions).toEqual([{ version: 1, updates: 2, retired: false }])
  })

  it('shows what a withdrawal undoes: its version is gone, the others wait for the next', () => {
    const { updates, versions } = sceneOf(
      lines(
        accepted(1, 'a'),
        accepted(2, 'b'),
        published(1, 'a', 'b'),
        { event: 'withdrawn', contribution: 1, digest: digest('a'), by: 'participant', erased: true },
        { event: 'retired', version: 1 },
      ),
    )
    expect(updates.map(({ version, withdrawn }) => [version, withdrawn])).toEqual([
      [1, true],
      [null, false],
    ])
    expect(versions[0].retired).toBe(true)
    expect([...placesOf({ updates, versions, refused: 0, closed: false }, WIDE).keys()]).toEqual([2])
  })

  it('counts what was refused, and gives every shown update a place of its own', () => {
    const many = lines(...Array.from({ length: 30 }, (_, i) => accepted(i + 1, 'abcdef'[i % 6])), {
      event: 'refused',
      participant: 'p',
      code: 'update/norm',
    })
    const scene = sceneOf(many)
    expect(scene.refused).toBe(1)
    const places = [...placesOf(scene, NARROW).values()].map(({ x, y }) => `${x},${y}`)
    expect(new Set(places).size).toBe(30)
  })
})
