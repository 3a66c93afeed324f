import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { writeSafetensors } from '../formats/safetensors.ts'
import { splitPictures } from './picture.ts'
import { type PictureSource, readPictures } from './read-pictures.ts'
import { pictureFile, SIDE } from './testing/fixtures.ts'
import { nodeWebpModule } from './webp-node.ts'
import { writePng } from './write-png.ts'

const file = (name: string, content: Uint8Array | string): PictureSource => {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  return { name, bytes: bytes.length, read: async () => bytes }
}
const colour = (...rgb: number[]) =>
  writePng(
    Uint8Array.from({ length: 12 }, (_, i) => rgb[i % 3]),
    2,
    2,
  )
const read = (...files: PictureSource[]) => readPictures(files, { side: SIDE, webp: nodeWebpModule })

const folder = [
  file(
    'album/metadata.jsonl',
    '{"file_name":"a.png","text":"an apple"}\n{"file_name":"gone.png","text":"x"}\nnonsense\n',
  ),
  file('album/a.png', colour(200, 0, 0)),
  file('album/a.txt', 'not this one'),
  file('album/dogs/IMG_1.jpg', pictureFile('420.jpg')),
  file('album/dogs/IMG_1.txt', 'a brown\r\ndog '),
  file('album/dogs/IMG_2.png', colour(0, 200, 0)),
  file('album/cat_face-2.webp', pictureFile('lossy.webp')),
  // Recognised by its bytes, whatever its name says.
  file('album/green tree.jpg', colour(0, 99, 0)),
  file('album/notes.txt', 'nothing beside me'),
  file('album/broken rose.png', pictureFile('rgb.png').subarray(0, 300)),
  file('album/old gif.gif', pictureFile('picture.gif')),
  file('album/.DS_Store', 'x'),
  file('album/Thumbs.db', 'x'),
  file('DSC0001.png', colour(1, 2, 3)),
]

describe('a person’s pictures', () => {
  it('come with captions from metadata, a text beside them, their name or their folder', async () => {
    const { pictures, skipped } = await read(...folder)
    expect(pictures.map(({ name, caption }) => [name, caption])).toEqual([
      ['album/a.png', 'an apple'],
      ['album/cat_face-2.webp', 'cat face'],
      ['album/dogs/IMG_1.jpg', 'a brown dog'],
      ['album/dogs/IMG_2.png', 'dogs'],
      ['album/green tree.jpg', 'green tree'],
    ])
    expect(pictures[0].pixels).toEqual(
      Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => [200, 0, 0][i % 3]),
    )
    expect(skipped.map(({ name, line, code }) => [name, line, code])).toEqual([
      ['DSC0001.png', undefined, 'picture/caption'],
      ['album/broken rose.png', undefined, 'picture/broken'],
      ['album/metadata.jsonl', 2, 'picture/caption'],
      ['album/metadata.jsonl', 3, 'picture/caption'],
      ['album/notes.txt', undefined, 'picture/caption'],
      ['album/old gif.gif', undefined, 'picture/unsupported'],
    ])
    for (const { reason } of skipped) expect(reason).toMatch(/^[a-z].*[^.]$/)
  })

  it('are the same in whatever order the files come', async () => {
    const wanted = await read(...folder)
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(folder, { minLength: folder.length }), async (shuffled) => {
        expect(await read(...shuffled)).toEqual(wanted)
      }),
      { numRuns: 3 },
    )
  })

  it('may be a whole set, brought to the model’s size', async () => {
    const bytes = Uint8Array.from({ length: 2 * 32 * 32 * 3 }, (_, i) => (i < 3072 ? 10 : 240))
    const set = writeSafetensors([{ name: 'image', dtype: 'U8', shape: [2, 32, 32, 3], bytes }])
    const records = JSON.stringify([{ caption: 'dark' }, { caption: 'light' }])
    const { pictures, skipped } = await read(file('x/set.safetensors', set), file('x/emoji.json', records))
    expect(skipped).toEqual([])
    expect(pictures.map(({ caption, side, pixels }) => [caption, side, pixels[0], pixels.length])).toEqual([
      ['dark', SIDE, 10, SIDE * SIDE * 3],
      ['light', SIDE, 240, SIDE * SIDE * 3],
    ])
    const alone = await read(file('x/set.safetensors', set))
    expect(alone.skipped).toMatchObject([{ name: 'x/set.safetensors', code: 'pictures/malformed-set' }])
  })

  it('are not opened when too large, and a file that is gone is named', async () => {
    const huge = {
      name: 'big dog.png',
      bytes: 1e9,
      read: () => Promise.reject(new Error('must not be read')),
    }
    const gone = { name: 'gone cat.png', bytes: 9, read: () => Promise.reject(new Error('NotFoundError')) }
    const { skipped } = await read(huge, gone)
    expect(skipped).toMatchObject([{ code: 'picture/too-large' }, { code: 'picture/unreadable' }])
  })

  it('hold out the same picture under any name or caption', async () => {
    const files = Array.from({ length: 20 }, (_, i) => [
      file(`a${i}/red thing.png`, colour(i * 10, 0, 0)),
      file(`b${i}/other name.png`, colour(i * 10, 0, 0)),
    ]).flat()
    const { pictures } = await read(...files)
    const { train, heldOut } = splitPictures(pictures)
    expect(train.length + heldOut.length).toBe(40)
    expect(heldOut.length).toBeGreaterThanOrEqual(4)
    const held = new Set(heldOut.map(({ pixels }) => pixels[0]))
    for (const { pixels } of train) expect(held.has(pixels[0])).toBe(false)
  })
})
