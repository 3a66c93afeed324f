/** Pictures that come with the program, for whoever has none at hand: one sheet a category (pictures/README.md). */
import type { Picture } from '../pictures/picture.ts'
import { readSheet } from '../pictures/sheet.ts'
import json from './pictures/pictures.json' with { type: 'json' }

export interface PictureSheet {
  /** Name in `pictures/`. */
  readonly file: string
  readonly title: string
  readonly bytes: number
  readonly sha256: string
  /** One a picture, from the top. */
  readonly captions: readonly string[]
}

export interface PictureCredit {
  /** The line that whoever shows the pictures has to show. */
  readonly attribution: string
  /** SPDX identifier. */
  readonly license: string
  readonly licenseUrl: string
  readonly changes: string
}

export const pictureCredit: PictureCredit = json
export const pictureSheets: readonly PictureSheet[] = json.sheets
/** Pixels along an edge of each picture. */
export const SHEET_SIDE = json.side

/** @param png the sheet's file. Throws FormatError `pictures/malformed-sheet`. */
export const samplePictures = (png: Uint8Array, { captions }: Pick<PictureSheet, 'captions'>): Picture[] =>
  readSheet(png, SHEET_SIDE)
    .slice(0, captions.length)
    .map((pixels, i) => ({ name: captions[i].split(',')[0], caption: captions[i], side: SHEET_SIDE, pixels }))
