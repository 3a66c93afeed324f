import { describe, expect, it } from 'vitest'
import { chooseFromFolder, PICTURES, TEXTS } from './dropped.ts'

const file = new File(['x'], 'x.txt')
const named = (...names: string[]) => names.map((name) => ({ name, file }))

describe('a folder', () => {
  it('gives its texts in order of their names and counts the rest', () => {
    const { files, leftOut, tooMany } = chooseFromFolder(
      named(
        'notes/b.txt',
        'notes/photo.jpg',
        'notes/a.md',
        'notes/.DS_Store',
        '.git/config.txt',
        'notes/t.CSV',
      ),
      TEXTS,
    )
    expect(files.map(({ name }) => name)).toEqual(['notes/a.md', 'notes/b.txt', 'notes/t.CSV'])
    expect({ leftOut, tooMany }).toEqual({ leftOut: 1, tooMany: false })
  })

  it('of pictures gives these and what captions them', () => {
    const names = [
      'a/dog.JPG',
      'a/dog.txt',
      'a/metadata.jsonl',
      'a/photo.heic',
      'a/set.safetensors',
      'a/w.webp',
    ]
    const { files, leftOut } = chooseFromFolder(named(...names), PICTURES)
    expect(files.map(({ name }) => name)).toEqual(names.filter((name) => name !== 'a/photo.heic'))
    expect(leftOut).toBe(1)
  })

  it('stops at a number of files and says so', () => {
    const many = Array.from(
      { length: TEXTS.most + 3 },
      (_, index) => `f/${String(index).padStart(4, '0')}.txt`,
    )
    const { files, tooMany } = chooseFromFolder(named(...many), TEXTS)
    expect(files).toHaveLength(TEXTS.most)
    expect(tooMany).toBe(true)
  })
})
