/** What the demo's people hold and train: one story a model. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  pictureCredit,
  pictureSheets,
  SHEET_SIDE,
  samplePictures,
} from '../../models/catalog/picture-samples.ts'
import type { RecipeChoices } from '../../models/families/family.ts'
import { writePng } from '../../models/pictures/write-png.ts'
import type { Contribution } from './client.ts'

export interface Person {
  readonly name: string
  /** A file, or a folder of pictures. */
  readonly data: string
}

export interface Story {
  /** Of the catalog. */
  readonly model: string
  readonly title: string
  readonly choices: RecipeChoices
  /** Steps between two measurements. */
  readonly evaluateEvery: number
  /** What speed is counted in, and what the loss is. */
  readonly words: Pick<Contribution, 'counted' | 'unit'>
  /** What must be said where the data are shown; empty where nothing must. */
  readonly credit: string
  /** Captions drawn before and after; none for text. */
  readonly captions: readonly string[]
  /** Puts what they hold where they can read it: beside the program, or into the folder given. */
  people(folder: string): Promise<Person[]>
}

const catalog = new URL('../../models/catalog/', import.meta.url)

/** Unlike each other in time and kind: a story for children, a work of science, tales of horror. */
const AUTHORS = ['carroll', 'darwin', 'poe'] as const

/** About 12,000 tokens a client: enough to learn an author's manner, little enough for three minutes in all. */
const authors: Story = {
  model: 'tiny',
  title: 'Three authors',
  choices: { steps: 24, batch: 4, tokens: 128 },
  evaluateEvery: 12,
  words: { counted: 'tokens', unit: 'nats a token' },
  credit: '',
  captions: [],
  people: async () =>
    AUTHORS.map((name) => ({ name, data: fileURLToPath(new URL(`samples/${name}.txt`, catalog)) })),
}

/** Each holds the Twemoji of one kind. */
const CATEGORIES = ['smileys', 'symbols', 'travel'] as const

const emoji: Story = {
  model: 'emoji-dit',
  title: 'Three kinds of emoji',
  choices: { steps: 40, batch: 8 },
  evaluateEvery: 20,
  words: { counted: 'pictures', unit: 'squared error' },
  credit: pictureCredit.attribution,
  captions: ['grinning face', 'crying face', 'red heart', 'right arrow', 'automobile', 'airplane'],
  async people(folder) {
    const people: Person[] = []
    for (const name of CATEGORIES) {
      const sheet = pictureSheets.find(({ file }) => file === `twemoji-${name}.png`)
      if (!sheet) throw new RangeError(`the catalog has no pictures of ${name}`)
      const own = path.join(folder, name)
      await mkdir(own, { recursive: true })
      const pictures = samplePictures(await readFile(new URL(`pictures/${sheet.file}`, catalog)), sheet)
      const rows: string[] = []
      for (const [i, { caption, pixels }] of pictures.entries()) {
        const file = `${String(i).padStart(3, '0')}.png`
        await writeFile(path.join(own, file), writePng(pixels, SHEET_SIDE, SHEET_SIDE))
        rows.push(JSON.stringify({ file_name: file, text: caption }))
      }
      await writeFile(path.join(own, 'metadata.jsonl'), `${rows.join('\n')}\n`)
      people.push({ name, data: own })
    }
    return people
  },
}

export const STORIES: readonly Story[] = [authors, emoji]
