import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DataError, FormatError } from '../errors.ts'
import { keepPictures, readKeptPictures, withCaption } from './kept-pictures.ts'

const SIDE = 2
const picture = fc.record({
  name: fc.string(),
  caption: fc.string({ minLength: 1, maxLength: 30 }),
  side: fc.constant(SIDE),
  pixels: fc.uint8Array({ minLength: SIDE * SIDE * 3, maxLength: SIDE * SIDE * 3 }),
})
const skipped = fc.record(
  { name: fc.string(), code: fc.string(), reason: fc.string(), line: fc.nat() },
  { requiredKeys: ['name', 'code', 'reason'] },
)
const reads = fc.record({ pictures: fc.array(picture), skipped: fc.array(skipped) })

describe('pictures kept in one file', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(reads, (read) => {
        expect(readKeptPictures(keepPictures(read, SIDE))).toEqual({ ...read, side: SIDE })
      }),
      { numRuns: 60 },
    )
  })

  it('take another caption, one line of it, and nothing else changes', () => {
    const [a, b] = ['a', 'b'].map((caption, i) => ({
      name: `${caption}.png`,
      caption,
      side: SIDE,
      pixels: new Uint8Array(SIDE * SIDE * 3).fill(i),
    }))
    const skipped = [{ name: 'c', code: 'picture/broken', reason: 'it is broken' }]
    const file = keepPictures({ pictures: [a, b], skipped }, SIDE)
    const changed = withCaption(file, 1, ' a red\n barn ')
    expect(readKeptPictures(changed)).toEqual({
      pictures: [a, { ...b, caption: 'a red barn' }],
      skipped,
      side: SIDE,
    })
    for (const words of ['', ' \n', 'x'.repeat(1001)]) {
      expect(() => withCaption(file, 0, words)).toThrow(DataError)
    }
  })

  it('are refused by name when the file is damaged', () => {
    const file = keepPictures(
      { pictures: [{ name: 'a', caption: 'b', side: SIDE, pixels: new Uint8Array(12) }], skipped: [] },
      SIDE,
    )
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.nat(255), (at, byte) => {
        const damaged = file.slice()
        damaged[at] = byte
        try {
          readKeptPictures(damaged)
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
    )
  })
})
