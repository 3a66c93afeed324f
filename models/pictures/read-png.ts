/**
 * PNG, https://www.w3.org/TR/png-3/: every colour type and depth, interlaced or not, row by row. Chunks that do not change the
 * pixels are passed over unread, so a compressed comment or profile cannot become a bomb; colours are taken as sRGB. The
 * pixels' own stream is inflated in small pieces and never beyond what the header claims.
 */
import { Unzlib } from 'fflate'
import { crc32 } from './crc32.ts'
import { exifOrientation } from './exif.ts'
import { animated, broken, checkSize, endsEarly, PictureError, unsupported } from './picture-errors.ts'
import { type Pass, type PngForm, pngPasses, rowBytes, toRgba, unfilter } from './png-rows.ts'
import type { OpenPicture } from './rows.ts'

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

export const isPng = (bytes: Uint8Array): boolean => SIGNATURE.every((byte, i) => bytes[i] === byte)

/** Channels by colour type, and the depths it may have. */
const COLOUR_TYPES: Readonly<Record<number, { channels: number; depths: readonly number[] }>> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
}

/** Deflate makes at most 1,032 bytes of one; a file with fewer than that takes is cut or lies. */
const MAX_INFLATION = 1032

/** At most 16 MB come out of it before the next look at how much that was. */
const PIECE_BYTES = 16 * 1024

interface Chunk {
  readonly type: string
  readonly content: Uint8Array
}

function* chunksOf(bytes: Uint8Array): Generator<Chunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let offset = SIGNATURE.length
  while (offset < bytes.length) {
    if (offset + 12 > bytes.length) throw endsEarly()
    const length = view.getUint32(offset)
    const end = offset + 12 + length
    if (end > bytes.length) throw endsEarly()
    const type = String.fromCharCode(...bytes.subarray(offset + 4, offset + 8))
    const critical = (bytes[offset + 4] & 0x20) === 0
    if (
      (critical || type === 'tRNS') &&
      view.getUint32(end - 4) !== crc32(bytes.subarray(offset + 4, end - 4))
    ) {
      throw broken(`its part ${JSON.stringify(type)} has a wrong checksum`)
    }
    yield { type, content: bytes.subarray(offset + 8, end - 4) }
    if (type === 'IEND') return
    offset = end
  }
}

function readHeader({ type, content }: Chunk): PngForm {
  if (type !== 'IHDR' || content.length !== 13) throw broken('it does not begin with its header')
  const view = new DataView(content.buffer, content.byteOffset, 13)
  const [depth, colour, compression, filter, interlace] = content.subarray(8)
  const type_ = Object.hasOwn(COLOUR_TYPES, colour) ? COLOUR_TYPES[colour] : null
  if (!type_?.depths.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw broken('its header says what no png can be')
  }
  const form = {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth,
    colour,
    channels: type_.channels,
    interlaced: interlace === 1,
    palette: new Uint8Array(0),
    transparency: null,
  }
  checkSize(form.width, form.height, form.interlaced)
  return form
}

/** The picture's form, and its compressed pixels in as many pieces as the file has them. */
function readChunks(bytes: Uint8Array): { form: PngForm; data: Uint8Array[]; orientation: number } {
  const chunks = chunksOf(bytes)
  const first = chunks.next()
  if (first.done) throw endsEarly()
  let form = readHeader(first.value)
  let orientation = 1
  const data: Uint8Array[] = []
  for (const { type, content } of chunks) {
    switch (type) {
      case 'IDAT':
        data.push(content)
        break
      case 'PLTE':
        if (content.length % 3 !== 0 || content.length > 768 || content.length === 0)
          throw broken('its palette is none')
        form = { ...form, palette: content }
        break
      case 'tRNS':
        form = { ...form, transparency: content }
        break
      case 'eXIf':
        orientation = exifOrientation(content)
        break
      case 'acTL':
        throw animated()
      case 'IEND':
        break
      default:
        if ((type.charCodeAt(0) & 0x20) === 0) throw unsupported(`a png with a part ${JSON.stringify(type)}`)
    }
  }
  if (form.colour === 3 && form.palette.length === 0) throw broken('its palette is missing')
  return { form, data, orientation }
}

/** Gives the stream's bytes to `take` until it has enough; what follows is not inflated. */
function inflate(data: readonly Uint8Array[], take: (bytes: Uint8Array) => boolean): void {
  let enough = false
  const stream = new Unzlib((bytes) => {
    if (!enough) enough = take(bytes)
  })
  const pieces = data.flatMap((chunk) =>
    Array.from({ length: Math.ceil(chunk.length / PIECE_BYTES) }, (_, i) =>
      chunk.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES),
    ),
  )
  try {
    for (const [index, piece] of pieces.entries()) {
      if (enough) return
      stream.push(piece, index === pieces.length - 1)
    }
  } catch (error) {
    if (error instanceof PictureError) throw error
    throw broken('its pixels cannot be decompressed', error)
  }
  if (!enough) throw endsEarly()
}

/** Takes the stream apart into filtered rows, pass after pass, and hands on each row as bytes without their filter. */
function rowsOf(
  form: PngForm,
  passes: readonly Pass[],
  row: (pass: Pass, y: number, bytes: Uint8Array) => void,
) {
  let passIndex = 0
  let y = 0
  let filled = 0
  // One byte says how the row is filtered.
  let current = new Uint8Array(1 + rowBytes(form, passes[0].width))
  let previous = new Uint8Array(current.length)
  return (bytes: Uint8Array): boolean => {
    for (let offset = 0; offset < bytes.length && passIndex < passes.length; ) {
      const taken = Math.min(bytes.length - offset, current.length - filled)
      current.set(bytes.subarray(offset, offset + taken), filled)
      filled += taken
      offset += taken
      if (filled < current.length) break
      const pass = passes[passIndex]
      unfilter(form, current, previous)
      row(pass, y, current.subarray(1))
      ;[current, previous] = [previous, current]
      filled = 0
      y += 1
      if (y < pass.height) continue
      y = 0
      passIndex += 1
      if (passIndex === passes.length) continue
      current = new Uint8Array(1 + rowBytes(form, passes[passIndex].width))
      previous = new Uint8Array(current.length)
    }
    return passIndex === passes.length
  }
}

/** @throws PictureError */
export function openPng(bytes: Uint8Array): OpenPicture {
  const { form, data, orientation } = readChunks(bytes)
  const { width, height } = form
  const passes = pngPasses(form)
  const claimed = passes.reduce((sum, pass) => sum + pass.height * (1 + rowBytes(form, pass.width)), 0)
  const compressed = data.reduce((sum, chunk) => sum + chunk.length, 0)
  if (claimed > compressed * MAX_INFLATION) throw endsEarly()
  return {
    width,
    height,
    span: 1,
    orientation,
    read(sink) {
      if (!form.interlaced) {
        const rgba = new Uint8Array(4 * width)
        inflate(
          data,
          rowsOf(form, passes, (_, y, row) => {
            toRgba(form, row, width, rgba)
            sink(y, rgba)
          }),
        )
        return
      }
      const whole = new Uint8Array(4 * width * height)
      const part = new Uint8Array(4 * width)
      inflate(
        data,
        rowsOf(form, passes, (pass, y, row) => {
          toRgba(form, row, pass.width, part)
          const top = (pass.top + y * pass.down) * width
          for (let x = 0; x < pass.width; x++) {
            whole.set(part.subarray(4 * x, 4 * x + 4), 4 * (top + pass.left + x * pass.right))
          }
        }),
      )
      for (let y = 0; y < height; y++) sink(y, whole.subarray(4 * y * width, 4 * (y + 1) * width))
    },
  }
}
