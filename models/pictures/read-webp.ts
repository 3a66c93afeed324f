/**
 * WebP, RFC 9649: its header is read here, its pixels by libwebp compiled to WebAssembly, the same bytes of it in a tab and
 * in Node. It runs in memory of its own and cannot reach the page's; what it leaves behind after a failure or a large picture is
 * thrown away.
 */
import { exifOrientation } from './exif.ts'
import { animated, broken, checkSize, endsEarly, PictureError } from './picture-errors.ts'
import type { OpenPicture } from './rows.ts'

/** The compiled decoder; fetched when the first webp comes. */
export type WebpModule = () => Promise<WebAssembly.Module>

const tag = (bytes: Uint8Array, offset: number): string =>
  String.fromCharCode(...bytes.subarray(offset, offset + 4))

export const isWebp = (bytes: Uint8Array): boolean => tag(bytes, 0) === 'RIFF' && tag(bytes, 8) === 'WEBP'

const ANIMATION_FLAG = 0x02

interface WebpHeader {
  readonly width: number
  readonly height: number
  readonly orientation: number
}

function lossySize(content: Uint8Array, view: DataView): [number, number] {
  if (content.length < 10) throw endsEarly()
  if ((content[0] & 1) !== 0 || content[3] !== 0x9d || content[4] !== 0x01 || content[5] !== 0x2a) {
    throw broken('its pixels do not begin as they must')
  }
  return [view.getUint16(6, true) & 0x3fff, view.getUint16(8, true) & 0x3fff]
}

function losslessSize(content: Uint8Array, view: DataView): [number, number] {
  if (content.length < 5) throw endsEarly()
  if (content[0] !== 0x2f) throw broken('its pixels do not begin as they must')
  const bits = view.getUint32(1, true)
  return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1]
}

function readHeader(bytes: Uint8Array): WebpHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 12) throw endsEarly()
  const end = 8 + view.getUint32(4, true)
  if (end > bytes.length) throw endsEarly()
  let size: [number, number] | null = null
  let orientation = 1
  for (let offset = 12; offset + 8 <= end; ) {
    const type = tag(bytes, offset)
    const length = view.getUint32(offset + 4, true)
    if (offset + 8 + length > end) throw endsEarly()
    const content = bytes.subarray(offset + 8, offset + 8 + length)
    const inside = new DataView(content.buffer, content.byteOffset, content.byteLength)
    if (type === 'VP8X') {
      if (length < 10) throw endsEarly()
      if ((content[0] & ANIMATION_FLAG) !== 0) throw animated()
    } else if (type === 'ANIM' || type === 'ANMF') throw animated()
    else if (type === 'VP8 ') size ??= lossySize(content, inside)
    else if (type === 'VP8L') size ??= losslessSize(content, inside)
    else if (type === 'EXIF') orientation = exifOrientation(content)
    // Parts have an even number of bytes.
    offset += 8 + length + (length & 1)
  }
  if (size === null) throw endsEarly()
  checkSize(size[0], size[1], true)
  return { width: size[0], height: size[1], orientation }
}

/** From here on a decoder's memory, which only grows, is given back. */
const LARGE_PIXELS = 2_000_000

type Decode = (
  file: ArrayBuffer,
) => Promise<{ readonly width: number; readonly height: number; readonly data: Uint8ClampedArray }>
let decoder: Promise<Decode> | null = null

async function startDecoder(module: WebpModule): Promise<Decode> {
  const { default: decode, init } = await import('@jsquash/webp/decode.js')
  // Its types know one argument only.
  const start = init as (module: WebAssembly.Module, options: object) => Promise<void>
  await start(await module(), { print: () => {}, printErr: () => {} })
  return decode as Decode
}

/** @throws PictureError */
export function openWebp(bytes: Uint8Array, module: WebpModule): OpenPicture {
  const header = readHeader(bytes)
  const { width, height } = header
  return {
    ...header,
    span: 1,
    async read(row) {
      decoder ??= startDecoder(module)
      const decode = await decoder.catch((error) => {
        decoder = null
        const what =
          'it is a webp, and what reads these could not be loaded; check the connection or save it as png'
        throw new PictureError('picture/decoder', what, { cause: error })
      })
      let picture: Awaited<ReturnType<Decode>>
      try {
        picture = await decode(new Uint8Array(bytes).buffer)
      } catch (error) {
        decoder = null
        throw broken('its pixels cannot be decoded', error)
      }
      if (width * height >= LARGE_PIXELS) decoder = null
      if (picture.width !== width || picture.height !== height) throw broken('its parts differ in size')
      for (let y = 0; y < height; y++) {
        const { data } = picture
        row(y, new Uint8Array(data.buffer, data.byteOffset + 4 * y * width, 4 * width))
      }
    },
  }
}
