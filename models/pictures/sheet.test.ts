import { expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { readSheet } from './sheet.ts'
import { writePng } from './write-png.ts'

it('a sheet is cut into its pictures, and anything else is refused', () => {
  const pixels = Uint8Array.from({ length: 4 * 12 * 3 }, (_, i) => i)
  const cut = readSheet(writePng(pixels, 4, 12), 4)
  expect(cut.map((picture) => picture[0])).toEqual([0, 48, 96])
  for (const bad of [writePng(pixels, 4, 12).subarray(0, 60), writePng(pixels, 12, 4), new Uint8Array(3)]) {
    expect(() => readSheet(bad, 4)).toThrow(FormatError)
  }
  expect(() => readSheet(writePng(pixels, 4, 12), 5)).toThrow(FormatError)
})
