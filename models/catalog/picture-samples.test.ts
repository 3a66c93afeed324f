import fs from 'node:fs'
import { describe, expect, it } from 'vitest'
import { sha256Hex } from '../sha256.ts'
import { pictureCredit, pictureSheets, SHEET_SIDE, samplePictures } from './picture-samples.ts'

const read = (name: string) => new Uint8Array(fs.readFileSync(new URL(`pictures/${name}`, import.meta.url)))

describe('the sample pictures', () => {
  it.each(pictureSheets.map((sheet) => [sheet.file, sheet] as const))(
    '%s is what its entry says',
    (_, sheet) => {
      const png = read(sheet.file)
      expect(png).toHaveLength(sheet.bytes)
      expect(sha256Hex(png)).toBe(sheet.sha256)
      const pictures = samplePictures(png, sheet)
      expect(pictures).toHaveLength(sheet.captions.length)
      // Each is a picture of its own, and none is one colour: the sheet is cut where they end.
      expect(new Set(pictures.map(({ pixels }) => sha256Hex(pixels))).size).toBe(pictures.length)
      for (const { pixels } of pictures) {
        expect(pixels).toHaveLength(SHEET_SIDE * SHEET_SIDE * 3)
        expect(new Set(pixels).size).toBeGreaterThan(8)
      }
    },
  )

  it('carry their credit, in the notice too', () => {
    expect(pictureCredit.attribution).toMatch(/Twitter, Inc .*CC-BY 4\.0/)
    const notice = fs.readFileSync(new URL('../../NOTICE', import.meta.url), 'utf8')
    expect(notice.replace(/\s+/g, ' ')).toContain(pictureCredit.attribution)
  })
})
