/** The experiment's pictures: style B of the emoji data set, with categories and splits. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { CaptionTokenizer } from '../../models/diffusion/captions.ts'
import { readPictureSet } from '../../models/pictures/picture-set.ts'
import type { PictureExample } from '../../models/training/pictures.ts'

export interface LabPicture {
  readonly category: string
  readonly split: string
  readonly example: PictureExample
}

/** @param folder that holds style-b.safetensors and emoji.json */
export async function readLabPictures(folder: string, captions: CaptionTokenizer): Promise<LabPicture[]> {
  const set = readPictureSet(
    await readFile(path.join(folder, 'style-b.safetensors')),
    await readFile(path.join(folder, 'emoji.json')),
  )
  return set.map(({ category, split, caption, pixels }) => ({
    category,
    split,
    example: { counted: 1, pixels, ids: captions.encode(caption) },
  }))
}
