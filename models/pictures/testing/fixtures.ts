/** One small picture in every form that is read, with what Pillow makes of it; see make-fixtures.py. */
import fs from 'node:fs'

export const SIDE = 16

const folder = new URL('../fixtures/', import.meta.url)

export const pictureFile = (name: string): Uint8Array =>
  new Uint8Array(fs.readFileSync(new URL(name, folder)))

interface Expected {
  readonly width: number
  readonly height: number
  /** The most that a byte may differ. */
  readonly tolerance: number
  /** [SIDE * SIDE * 3] in base64 */
  readonly pixels: string
}

export const expected: ReadonlyMap<string, Expected> = new Map(
  Object.entries(JSON.parse(fs.readFileSync(new URL('expected.json', folder), 'utf8'))),
)
