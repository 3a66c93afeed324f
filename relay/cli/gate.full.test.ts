/** The host's measurement of a candidate on data of its own, told in the unit of the model's family. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { pictureSheets, SHEET_SIDE, samplePictures } from '../../models/catalog/picture-samples.ts'
import { writePng } from '../../models/pictures/write-png.ts'
import type { Digest } from '../protocol/index.ts'
import type { Measured } from '../protocol/measured.ts'
import { Console } from './console.ts'
import { Gate } from './gate.ts'

it('measures a model that draws on a folder of pictures, by its squared error', async () => {
  const file = await mkdtemp(path.join(tmpdir(), 'oneround-gate-'))
  try {
    const [sheet] = pictureSheets
    const png = await readFile(new URL(`../../models/catalog/pictures/${sheet.file}`, import.meta.url))
    for (const { name, pixels } of samplePictures(png, sheet).slice(0, 2)) {
      await writeFile(path.join(file, `${name}.png`), writePng(pixels, SHEET_SIDE, SHEET_SIDE))
    }
    const said: string[] = []
    const judged: (readonly [room: string, digest: Digest, measured: Measured])[] = []
    const gate = new Gate({
      model: 'emoji-dit',
      file,
      console: new Console(true, { write: () => {} }, { write: (words) => said.push(words) }),
      signal: new AbortController().signal,
      async judge(...verdict) {
        judged.push(verdict)
        return verdict[2].loss <= verdict[2].baseLoss
      },
    })
    const digest = 'a'.repeat(64) as Digest
    const folder = fileURLToPath(new URL('../../models/fixtures/emoji-dit/lora', import.meta.url))
    await gate.candidate({ room: 'main', digest, contributions: 2, folder })
    expect(judged).toEqual([['main', digest, { loss: expect.any(Number), baseLoss: expect.any(Number) }]])
    const { loss, baseLoss } = judged[0][2]
    expect(loss).not.toBe(baseLoss)
    const figures = `held-out loss ${loss.toFixed(3)}, base ${baseLoss.toFixed(3)} squared error`
    expect(said.join('')).toContain(figures)
  } finally {
    await rm(file, { recursive: true, force: true })
  }
})
