import { describe, expect, it } from 'vitest'
import { chooseFromFolder, MAX_FOLDER_FILES } from './dropped.ts'

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
    )
    expect(files.map(({ name }) => name)).toEqual(['notes/a.md', 'notes/b.txt', 'notes/t.CSV'])
    expect({ leftOut, tooMany }).toEqual({ leftOut: 1, tooMany: false })
  })

  it('stops at a number of files and says so', () => {
    const many = Array.from(
      { length: MAX_FOLDER_FILES + 3 },
      (_, index) => `f/${String(index).padStart(4, '0')}.txt`,
    )
    const { files, tooMany } = chooseFromFolder(named(...many))
    expect(files).toHaveLength(MAX_FOLDER_FILES)
    expect(tooMany).toBe(true)
  })
})
