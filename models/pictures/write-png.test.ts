import fc from 'fast-check'
import { decode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { writePng } from './write-png.ts'

describe('writePng', () => {
  it('gives what another reader reads back to the bit', () => {
    const size = fc.integer({ min: 1, max: 9 })
    fc.assert(
      fc.property(
        size,
        size,
        fc.constantFrom(3, 4),
        fc.infiniteStream(fc.nat(255)),
        (w, h, channels, bytes) => {
          const pixels = Uint8Array.from({ length: w * h * channels }, () => bytes.next().value)
          const png = decode(writePng(pixels, w, h, channels as 3 | 4), { checkCrc: true })
          expect(png).toMatchObject({ width: w, height: h, channels, depth: 8 })
          expect(new Uint8Array(png.data)).toEqual(pixels)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('refuses pixels that do not fill the picture', () => {
    expect(() => writePng(new Uint8Array(11), 2, 2)).toThrow(RangeError)
  })
})
