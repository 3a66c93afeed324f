/** The search for leaked pictures itself: it must catch what it claims to, or its silence on a real run says nothing. */
import fs from 'node:fs'
import { describe, expect, it } from 'vitest'
import { pictureSheets, samplePictures } from '../models/catalog/picture-samples.ts'
import { float16ToFloat32 } from '../models/formats/half.ts'
import { writePng } from '../models/pictures/write-png.ts'
import { PictureLeakSearch } from './support/picture-leaks.ts'

const sheet = pictureSheets[3]
const png = fs.readFileSync(new URL(`../models/catalog/pictures/${sheet.file}`, import.meta.url))
const [first, second] = samplePictures(new Uint8Array(png), sheet)
const SIDE = first.side
const file = writePng(first.pixels, SIDE, SIDE)
const search = new PictureLeakSearch([
  { name: 'my-first-picture.png', caption: 'the taste of summer', file, side: SIDE, pixels: first.pixels },
])

const noise = (bytes: number) =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 97 + 13 + (i >> 5)) & 255))
const between = (planted: Buffer, before: number) => [
  noise(5000),
  Buffer.concat([noise(before), planted, noise(40)]),
]
/** A row through the middle of the picture. */
const row = first.pixels.subarray(3 * 16 * SIDE, 3 * 17 * SIDE)
const pixels = Array.from({ length: SIDE }, (_, x) => row.subarray(3 * x, 3 * x + 3))
const floats = (of: (pixel: number) => number, values: Iterable<number> = row) =>
  Buffer.from(Float32Array.from([...values].map(of)).buffer)
const halves = (of: (pixel: number) => number) => {
  // By search, not by the function the search uses: the half that is nearest.
  const all = Array.from({ length: 0x7c00 }, (_, i) => i).flatMap((i) => [i, i | 0x8000])
  const values = float16ToFloat32(Uint16Array.from(all))
  const nearest = (wanted: number) => {
    let best = 0
    for (let i = 1; i < all.length; i++) {
      if (Math.abs(values[i] - wanted) < Math.abs(values[best] - wanted)) best = i
    }
    return all[best]
  }
  const known = new Map<number, number>()
  for (const pixel of row) if (!known.has(pixel)) known.set(pixel, nearest(Math.fround(of(pixel))))
  return Buffer.from(Uint16Array.from(row, (pixel) => known.get(pixel)!).buffer)
}

describe('the search for leaked pictures', () => {
  it('finds nothing where nothing is', () => {
    const other = Buffer.from(second.pixels)
    const white = Buffer.alloc(4000, 255)
    expect(search.find([noise(20_000), other, white, Buffer.alloc(4000)])).toEqual([])
  })

  it.each([
    ['encoded file', Buffer.from(file.subarray(60, 60 + 47))],
    ['bytes RGB', Buffer.from(row)],
    ['bytes RGBA', Buffer.concat(pixels.map((rgb) => Buffer.from([...rgb, 255])))],
    ['bytes of a channel', Buffer.from(pixels.map((rgb) => rgb[1]))],
    ['float32 little-endian -1 to 1', floats((pixel) => pixel / 127.5 - 1)],
    ['float32 little-endian 0 to 1', floats((pixel) => pixel / 255)],
    ['float32 little-endian 0 to 255', floats((pixel) => pixel)],
    ['float32 big-endian -1 to 1', floats((pixel) => pixel / 127.5 - 1).swap32()],
    ['float16 little-endian -1 to 1', halves((pixel) => pixel / 127.5 - 1)],
    ['float16 big-endian 0 to 1', halves((pixel) => pixel / 255).swap16()],
    [
      'float32 little-endian -1 to 1',
      floats(
        (pixel) => pixel / 127.5 - 1,
        pixels.map((rgb) => rgb[0]),
      ),
    ],
    ['decimals', Buffer.from(`{"x":[${row.join(', ')}]}`)],
    ['words in UTF-8', Buffer.from('{"c":"the taste of summer"}')],
    ['words in UTF-8', Buffer.from('my-first-picture.png')],
    ['words in UTF-16', Buffer.from('the taste of summer', 'utf16le')],
  ])('finds a picture as %s', (encoding, planted) => {
    for (const before of [0, 1, 2, 3]) {
      expect(search.find(between(planted, before)).map((leak) => leak.encoding)).toContain(encoding)
    }
  })

  it('finds each in base64 too, at any alignment', () => {
    for (const before of [0, 1, 2]) {
      for (const [encoding, planted] of [
        ['encoded file', Buffer.from(file)],
        ['bytes RGB', Buffer.from(first.pixels)],
      ] as const) {
        const text = Buffer.from(`{"x":"${Buffer.concat([noise(before), planted]).toString('base64url')}"}`)
        expect(search.find([text]).map((leak) => leak.encoding)).toContain(`${encoding} in base64`)
      }
    }
  })
})
