/**
 * A JPEG's segments, T.81 annex B: what there is before, between and after its scans. Reads what any camera or program of today
 * writes: sequential and progressive Huffman-coded pictures of 8 bits in grey, RGB, YCbCr, CMYK and YCCK.
 */
import { exifOrientation } from './exif.ts'
import { type HuffmanTable, huffmanTable } from './jpeg-huffman.ts'
import { ZIGZAG } from './jpeg-scan.ts'
import { broken, checkSize, endsEarly, unsupported } from './picture-errors.ts'

export interface FrameComponent {
  readonly id: number
  readonly h: number
  readonly v: number
  readonly table: number
}

export interface JpegFrame {
  readonly width: number
  readonly height: number
  readonly progressive: boolean
  readonly components: readonly FrameComponent[]
}

/** What the segments so far have said. */
export interface JpegTables {
  /** By number: [64] in the order of rows. */
  readonly quantisation: (Uint16Array | null)[]
  readonly dc: (HuffmanTable | null)[]
  readonly ac: (HuffmanTable | null)[]
  restartInterval: number
  /** Adobe's word on the colours: 0 as they are, 1 YCbCr, 2 YCCK; null: no such segment. */
  adobe: number | null
  orientation: number
}

export const newTables = (): JpegTables => ({
  quantisation: [null, null, null, null],
  dc: [null, null, null, null],
  ac: [null, null, null, null],
  restartInterval: 0,
  adobe: null,
  orientation: 1,
})

export interface Segment {
  /** The marker's second byte. */
  readonly marker: number
  readonly content: Uint8Array
  /** Of what follows it. */
  readonly end: number
}

const END_OF_IMAGE = 0xd9
export const START_OF_SCAN = 0xda

export const isJpeg = (bytes: Uint8Array): boolean =>
  bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff

/** The segment at `position`, or null at the picture's end. */
export function segmentAt(bytes: Uint8Array, position: number): Segment | null {
  let at = position
  if (at >= bytes.length) return null
  if (bytes[at] !== 0xff) throw broken('its parts do not follow one another')
  while (bytes[at] === 0xff) at += 1
  const marker = bytes[at]
  if (marker === undefined || marker === END_OF_IMAGE) return null
  const length = bytes[at + 1] * 256 + bytes[at + 2]
  const end = at + 1 + length
  // NaN where the length itself is cut off.
  if (!(end <= bytes.length)) throw endsEarly()
  if (length < 2) throw broken('one of its parts has no length')
  return { marker, content: bytes.subarray(at + 3, end), end }
}

/** After a scan's data: the next marker that is not part of them. */
export function nextSegment(bytes: Uint8Array, position: number): number {
  for (let at = position; at + 1 < bytes.length; at++) {
    if (bytes[at] !== 0xff) continue
    const next = bytes[at + 1]
    if (next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return at
  }
  return bytes.length
}

const SEQUENTIAL = [0xc0, 0xc1]
const PROGRESSIVE = 0xc2
const OTHER_FRAMES = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf]

/** The frame if the segment is one. Throws PictureError, before anything is allocated for the pixels. */
export function readFrame({ marker, content }: Segment): JpegFrame | null {
  if (OTHER_FRAMES.includes(marker)) throw unsupported('a jpg of a rare kind (lossless or arithmetic coding)')
  if (!SEQUENTIAL.includes(marker) && marker !== PROGRESSIVE) return null
  if (content.length < 6 || content.length < 6 + 3 * content[5]) throw broken('its header is too short')
  if (content[0] !== 8) throw unsupported(`a jpg of ${content[0]} bits`)
  const height = content[1] * 256 + content[2]
  const width = content[3] * 256 + content[4]
  checkSize(width, height, false)
  const count = content[5]
  if (count !== 1 && count !== 3 && count !== 4) throw unsupported(`a jpg of ${count} colour channels`)
  const components = Array.from({ length: count }, (_, i) => {
    const [id, sampling, table] = content.subarray(6 + 3 * i)
    const h = sampling >> 4
    const v = sampling & 15
    if (h < 1 || h > 4 || v < 1 || v > 4 || table > 3) throw broken('its header says what no jpg can be')
    return { id, h, v, table }
  })
  return { width, height, progressive: marker === PROGRESSIVE, components }
}

function readQuantisation(content: Uint8Array, { quantisation }: JpegTables): void {
  for (let at = 0; at < content.length; ) {
    const [wide, number] = [content[at] >> 4, content[at] & 15]
    const bytes = wide === 0 ? 64 : 128
    if (wide > 1 || number > 3 || at + 1 + bytes > content.length)
      throw broken('a table of its colours is none')
    const values = new Uint16Array(64)
    for (let k = 0; k < 64; k++) {
      const from = at + 1 + (wide === 0 ? k : 2 * k)
      values[ZIGZAG[k]] = wide === 0 ? content[from] : content[from] * 256 + content[from + 1]
    }
    quantisation[number] = values
    at += 1 + bytes
  }
}

function readHuffman(content: Uint8Array, { dc, ac }: JpegTables): void {
  for (let at = 0; at < content.length; ) {
    const [kind, number] = [content[at] >> 4, content[at] & 15]
    const counts = content.subarray(at + 1, at + 17)
    const symbols = counts.reduce((sum, count) => sum + count, 0)
    if (kind > 1 || number > 3 || symbols > 256 || at + 17 + symbols > content.length) {
      throw broken('a table of its codes is none')
    }
    const table = huffmanTable(counts, content.subarray(at + 17, at + 17 + symbols))
    ;(kind === 0 ? dc : ac)[number] = table
    at += 17 + symbols
  }
}

const startsWith = (content: Uint8Array, text: string): boolean =>
  content.length >= text.length && [...text].every((character, i) => content[i] === character.charCodeAt(0))

/** Takes in a segment that is neither frame nor scan. Metadata are passed over, but for how to turn the picture. */
export function readTables({ marker, content }: Segment, tables: JpegTables): void {
  switch (marker) {
    case 0xdb:
      readQuantisation(content, tables)
      break
    case 0xc4:
      readHuffman(content, tables)
      break
    case 0xdd:
      if (content.length < 2) throw broken('one of its parts has no content')
      tables.restartInterval = content[0] * 256 + content[1]
      break
    case 0xe1:
      if (startsWith(content, 'Exif\0\0')) tables.orientation = exifOrientation(content.subarray(6))
      break
    case 0xee:
      if (startsWith(content, 'Adobe') && content.length >= 12) tables.adobe = content[11]
      break
  }
}
