/**
 * JPEG, ITU-T T.81. The same code runs in a tab and in Node, because browsers' own decoders differ in their last bits and two
 * people with one photo should train on the same numbers. A photo much larger than the square it becomes is read at an eighth:
 * of each block of 8 x 8 only the mean, which is its first coefficient, so that 12 megapixels take a moment and little memory.
 */

import {
  type JpegFrame,
  type JpegTables,
  newTables,
  nextSegment,
  readFrame,
  readTables,
  type Segment,
  START_OF_SCAN,
  segmentAt,
} from './jpeg-header.ts'
import { BitReader } from './jpeg-huffman.ts'
import { jpegColours, type Plane } from './jpeg-pixels.ts'
import { type Component, readScan, type Scan, scanBlocks } from './jpeg-scan.ts'
import { broken, endsEarly } from './picture-errors.ts'
import type { OpenPicture } from './rows.ts'

/**
 * Blocks visited over all scans: 64 megapixels in the usual ten progressive scans are 15 million. A file of many scans of nothing
 * would otherwise take as long as it likes.
 */
const MAX_BLOCK_VISITS = 60_000_000

/** Edge in target pixels from which a photo is read at an eighth: each is then the mean of at least 4 x 4 blocks, 2 x 2 of its colours. */
const EIGHTH_FROM = 32

interface Layout {
  readonly components: readonly Component[]
  readonly unitsWide: number
  readonly unitsHigh: number
  readonly maxH: number
  readonly maxV: number
}

function layOut({ width, height, components }: JpegFrame, stride: 1 | 64): Layout {
  const maxH = Math.max(...components.map(({ h }) => h))
  const maxV = Math.max(...components.map(({ v }) => v))
  const unitsWide = Math.ceil(width / (8 * maxH))
  const unitsHigh = Math.ceil(height / (8 * maxV))
  return {
    maxH,
    maxV,
    unitsWide,
    unitsHigh,
    components: components.map((component) => ({
      ...component,
      blocksWide: Math.ceil(Math.ceil((width * component.h) / maxH) / 8),
      blocksHigh: Math.ceil(Math.ceil((height * component.v) / maxV) / 8),
      storedWide: unitsWide * component.h,
      coefficients: new Int16Array(unitsWide * component.h * unitsHigh * component.v * stride),
    })),
  }
}

function readScanHeader(
  { content }: Segment,
  frame: JpegFrame,
  layout: Layout,
  tables: JpegTables,
  stride: 1 | 64,
): Scan {
  const count = content[0]
  if (!(count >= 1 && count <= 4) || content.length < 4 + 2 * count) throw broken('a scan of it is too short')
  const parts = Array.from({ length: count }, (_, i) => {
    const [id, codes] = content.subarray(1 + 2 * i)
    const component = layout.components.find((candidate) => candidate.id === id)
    if (component === undefined) throw broken('a scan of it has an unknown channel')
    return { component, dc: tables.dc[codes >> 4] ?? null, ac: tables.ac[codes & 15] ?? null }
  })
  const [first, last, bits] = content.subarray(1 + 2 * count)
  const scan = {
    parts,
    first,
    last,
    high: bits >> 4,
    low: bits & 15,
    progressive: frame.progressive,
    restartInterval: tables.restartInterval,
    unitsWide: layout.unitsWide,
    unitsHigh: layout.unitsHigh,
    stride,
  }
  const possible =
    new Set(parts.map(({ component }) => component)).size === count &&
    (!frame.progressive ||
      (last <= 63 && scan.low <= 13 && (first === 0 ? last === 0 : first <= last && count === 1)))
  if (!possible) throw broken('a scan of it says what no jpg can be')
  return scan
}

/** Everything after the frame: coefficients of all components, and the tables that they are scaled by. */
function readScans(
  bytes: Uint8Array,
  from: number,
  frame: JpegFrame,
  tables: JpegTables,
  stride: 1 | 64,
): Plane[] {
  const layout = layOut(frame, stride)
  const scales = new Map<Component, Uint16Array>()
  let visits = 0
  let position = from
  for (let segment = segmentAt(bytes, position); segment; segment = segmentAt(bytes, position)) {
    position = segment.end
    if (segment.marker !== START_OF_SCAN) {
      if (readFrame(segment) !== null) throw broken('it holds two pictures')
      readTables(segment, tables)
      continue
    }
    const scan = readScanHeader(segment, frame, layout, tables, stride)
    if (stride === 64 || scan.first === 0) {
      visits += scanBlocks(scan)
      if (visits > MAX_BLOCK_VISITS) throw broken('it is made of more scans than a picture takes')
      for (const { component } of scan.parts) {
        const table = tables.quantisation[component.table]
        if (table === null) throw broken('a table of its colours is missing')
        if (!scales.has(component) && scan.first === 0) scales.set(component, table)
      }
      const bits = new BitReader(bytes, position)
      readScan(scan, bits)
      position = bits.position
    }
    position = nextSegment(bytes, position)
  }
  return layout.components.map((component) => {
    const scale = scales.get(component)
    if (scale === undefined) throw endsEarly()
    return {
      ...component,
      scale,
      blocksHigh: component.coefficients.length / (stride * component.storedWide),
      maxH: layout.maxH,
      maxV: layout.maxV,
    }
  })
}

/**
 * @param side of the square it will become; decides at which size it is read
 * @throws PictureError
 */
export function openJpeg(bytes: Uint8Array, side: number): OpenPicture {
  const tables = newTables()
  let position = 2
  for (let segment = segmentAt(bytes, position); segment; segment = segmentAt(bytes, position)) {
    position = segment.end
    if (segment.marker === START_OF_SCAN) break
    const frame = readFrame(segment)
    if (frame === null) {
      readTables(segment, tables)
      continue
    }
    const { width, height } = frame
    const span = Math.min(width, height) >= EIGHTH_FROM * side ? 8 : 1
    const after = position
    // What cameras say of the picture comes before it, so the orientation is known here.
    return {
      width,
      height,
      span,
      orientation: tables.orientation,
      read(row) {
        const planes = readScans(bytes, after, frame, tables, span === 8 ? 1 : 64)
        jpegColours(frame, planes, tables.adobe, span, row)
      },
    }
  }
  throw broken('it has no header')
}
