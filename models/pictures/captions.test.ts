import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { captionOfName, captionOfPath, checkCaption, readMetadata } from './captions.ts'

describe('a caption from a name', () => {
  it.each([
    ['dog_face-01.png', 'dog face'],
    ['dog.face.webp', 'dog face'],
    ['001 red apple.jpg', 'red apple'],
    ['Red Apple (3).jpg', 'Red Apple'],
    ['route 66 sign.png', 'route 66 sign'],
    ['água-viva.png', 'água viva'],
    ['picture of a dog.png', 'picture of a dog'],
    ['deadbeef cafe.png', 'deadbeef cafe'],
    ['IMG_20250102_123456.jpg', ''],
    ['IMG-20250102-WA0007.jpg', ''],
    ['DSC04711.JPG', ''],
    ['PXL_20250102_101112.jpg', ''],
    ['Screenshot 2025-01-02 at 10.11.12.png', ''],
    ['3f2a9c11-7b1e-4f0a.png', ''],
    ['12345.png', ''],
    ['.png', ''],
  ])('%s is "%s"', (name, caption) => {
    expect(captionOfName(name)).toBe(caption)
  })

  it('is the folder’s where the file’s says nothing', () => {
    expect(captionOfPath('photos/golden_retriever/IMG_0001.jpg')).toBe('golden retriever')
    expect(captionOfPath('IMG_0001.jpg')).toBe('')
  })

  it('is one line without control characters, whatever the name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        expect(captionOfPath(name)).toMatch(/^(?!\s)[^\p{Cc}\n]*(?<!\s)$/u)
      }),
    )
  })
})

describe('metadata.jsonl', () => {
  const lines = (...rows: unknown[]) =>
    rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n')

  it('captions files of its folder and below, and names the lines that do not', () => {
    const { captions, skipped } = readMetadata(
      'set/metadata.jsonl',
      lines(
        { file_name: 'a.png', text: 'an apple' },
        '',
        { file_name: './dogs/b.png', caption: ' two\ndogs ' },
        '{"file_name": "c.png", ',
        { file_name: '../../etc/passwd', text: 'no' },
        { file_name: 'd.png' },
        { file_name: 'a.png', prompt: 'again' },
        ['a.png'],
        { file_name: 'e.png', text: 'x'.repeat(2000) },
      ),
    )
    expect([...captions].map(([path, { caption, line }]) => [path, caption, line])).toEqual([
      ['set/a.png', 'an apple', 1],
      ['set/dogs/b.png', 'two dogs', 3],
    ])
    expect(skipped.map(({ line }) => line)).toEqual([4, 5, 6, 7, 8, 9])
  })

  it('is read whatever it holds', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.json())), (rows) => {
        const { captions } = readMetadata('m/metadata.jsonl', rows.join('\n'))
        for (const path of captions.keys()) expect(path.startsWith('m/')).toBe(true)
      }),
    )
  })
})

it('a caption is one line of a bounded length', () => {
  expect(checkCaption('\ta\r\n b\u202e ')).toEqual({ caption: 'a b' })
  expect(checkCaption(' \n ')).toHaveProperty('reason')
  expect(checkCaption('x'.repeat(1001))).toHaveProperty('reason')
})
