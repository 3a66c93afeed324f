import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { keepPictures, readKeptPictures } from './kept-pictures.ts'

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
