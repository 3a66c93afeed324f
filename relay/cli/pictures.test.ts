/** The commands with a model that draws: trained on a folder of pictures, measured, merged and drawn. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { decode } from 'fast-png'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pictureSheets, SHEET_SIDE, samplePictures } from '../../models/catalog/picture-samples.ts'
import { writePng } from '../../models/pictures/write-png.ts'
import { runJson } from './testing/run-cli.ts'

const common = ['--model', 'emoji-dit', '--backend', 'wasm']
let folder: string
let data: string

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'oneround-pictures-'))
  data = path.join(folder, 'mine')
  await mkdir(data)
  const sheet = pictureSheets[0]
  const png = await readFile(new URL(`../../models/catalog/pictures/${sheet.file}`, import.meta.url))
  for (const { name, pixels } of samplePictures(png, sheet).slice(0, 5)) {
    await writeFile(path.join(data, `${name}.png`), writePng(pixels, SHEET_SIDE, SHEET_SIDE))
  }
  await writeFile(path.join(data, 'broken.png'), 'no picture')
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a model that draws', () => {
  it('is trained, measured, merged and asked to draw', async () => {
    const out = path.join(folder, 'adapter')
    const small = ['--steps', '2', '--batch', '2', '--seed', 's']
    const trained = await runJson('train', ...common, '--data', data, '--out', out, ...small)
    expect(trained.answer).toMatchObject({ steps: 2, examples: 4, heldOut: 1, pictures: 4 })
    expect(trained.stderr).toMatch(/broken\.png is skipped: /)

    const measured = await runJson('eval', ...common, '--data', data, '--adapter', out, '--held-out')
    expect(measured.answer).toMatchObject({ pictures: 1, passes: 4 })
    expect(measured.answer.loss).toBeCloseTo(trained.answer.loss.own, 5)

    const merged = path.join(folder, 'merged')
    expect((await runJson('merge', '--out', merged, out, out)).answer).toMatchObject({ modules: 42 })

    const file = path.join(folder, 'grid.png')
    const draw = [
      '--prompt',
      'red heart',
      '--prompt',
      'full moon',
      '--steps',
      '1',
      '--enlarge',
      '2',
      '--seed',
      's',
    ]
    const drawn = await runJson('generate', ...common, '--adapter', merged, ...draw, '--out', file)
    expect(drawn.answer).toMatchObject({ pictures: 2, columns: 2, width: 2 * 64 + 4, height: 64 })
    const bytes = await readFile(file)
    expect(decode(bytes)).toMatchObject({ width: 2 * 64 + 4, height: 64, channels: 3 })
    await runJson('generate', ...common, '--adapter', merged, ...draw, '--out', file)
    expect(await readFile(file)).toEqual(bytes)
  }, 120_000)

  it('says what does not go with it', async () => {
    const refused = async (...argv: string[]) => (await runJson(...argv)).answer.error
    expect(await refused('eval', ...common, '--data', data, '--length', '64')).toMatchObject({
      code: 'usage',
    })
    expect(await refused('generate', ...common, '--prompt', 'cat')).toMatchObject({ code: 'usage' })
    const gguf = [
      '--adapter',
      path.join(folder, 'adapter'),
      '--format',
      'gguf',
      '--out',
      path.join(folder, 'x'),
    ]
    expect(await refused('export', '--model', 'emoji-dit', ...gguf)).toMatchObject({ code: 'model/no-gguf' })
    const text = path.join(folder, 'mine.txt')
    await writeFile(text, 'words')
    expect(await refused('train', ...common, '--data', text, '--out', folder)).toMatchObject({
      code: 'data/empty',
    })
  }, 60_000)
})
