import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DataError } from '../errors.ts'
import { MAX_FILE_BYTES, MAX_ROW_CHARACTERS, readDocuments } from './documents.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const read = (name: string, text: string) => readDocuments(name, utf8(text))
const refuses = (name: string, bytes: Uint8Array, code: string) => {
  expect(() => readDocuments(name, bytes)).toThrow(DataError)
  expect(() => readDocuments(name, bytes)).toThrow(expect.objectContaining({ code }))
}

describe('text files', () => {
  it.each(['a.txt', 'a.TXT', 'notes.md', 'x.y.markdown', 'C:\\me\\a.text'])('%s is one document', (name) => {
    expect(read(name, '# Title\n\nText.')).toEqual({
      documents: [{ kind: 'text', text: '# Title\n\nText.', row: false }],
      skipped: [],
    })
  })

  it('drops a byte order mark and Windows line ends', () => {
    const { documents } = readDocuments('a.txt', Uint8Array.of(0xef, 0xbb, 0xbf, ...utf8('a\r\nb\rc\n')))
    expect(documents).toEqual([{ kind: 'text', text: 'a\nb\nc\n', row: false }])
  })

  it.each(['a.pdf', 'a.docx', 'txt', 'a.', 'a.txt.gz', '.constructor', 'a.__proto__'])(
    '%s is refused',
    (name) => {
      refuses(name, utf8('text'), 'data/unsupported')
    },
  )

  it('refuses what is empty, binary or in another encoding', () => {
    refuses('a.txt', new Uint8Array(), 'data/empty')
    refuses('a.txt', utf8(' \n\t\r\n'), 'data/empty')
    refuses('a.jsonl', Uint8Array.of(0xef, 0xbb, 0xbf), 'data/empty')
    refuses('a.txt', Uint8Array.of(0x50, 0x4b, 0x03, 0x04, 0, 0), 'data/binary')
    refuses('a.txt', Uint8Array.of(0x63, 0x61, 0x66, 0xe9), 'data/binary')
    refuses('a.txt', Uint8Array.of(0xff, 0xfe, 0x61, 0), 'data/binary')
    expect(() => readDocuments('a.txt', Uint8Array.of(0xff, 0xfe, 0x61, 0))).toThrow(
      /UTF-16; save it as UTF-8/,
    )
  })

  it('refuses what is too large before decoding it', () => {
    refuses('a.txt', new Uint8Array(MAX_FILE_BYTES + 1), 'data/too-large')
  })
})

describe('jsonl', () => {
  it('reads the three kinds of rows', () => {
    const rows = [
      { text: 'a' },
      { prompt: 'p', completion: 'c', id: 7 },
      { prompt: '', completion: 'c' },
      {
        messages: [
          { role: 'system', content: '' },
          { role: 'user', content: 'u' },
          { role: 'assistant', content: 'x' },
        ],
      },
    ]
    const { documents, skipped } = read('a.jsonl', rows.map((row) => JSON.stringify(row)).join('\r\n'))
    expect(skipped).toEqual([])
    expect(documents).toEqual([
      { kind: 'text', text: 'a', row: true },
      { kind: 'completion', prompt: 'p', completion: 'c' },
      { kind: 'completion', prompt: '', completion: 'c' },
      { kind: 'chat', messages: rows[3].messages },
    ])
  })

  it('names broken lines by number and keeps the rest', () => {
    const lines = [
      '{"text":"good"}',
      '{"text":"broken',
      '',
      '[1]',
      '{"text":7}',
      '{"prompt":"p"}',
      '{"prompt":"p","completion":" "}',
      '{"messages":[]}',
      '{"messages":[{"role":"robot","content":"x"}]}',
      '{"messages":[{"role":"user","content":"x"}]}',
      '{"messages":[{"role":"user"}]}',
      '{"text":" "}',
      '{"body":"x"}',
      `{"text":"${'x'.repeat(MAX_ROW_CHARACTERS)}"}`,
      '['.repeat(200_000),
      '{"text":"last"}',
    ]
    const { documents, skipped } = read('a.jsonl', lines.join('\n'))
    expect(documents.map((document) => document.kind === 'text' && document.text)).toEqual(['good', 'last'])
    expect(skipped.map(({ line }) => line)).toEqual([2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    expect(skipped[0].reason).toBe('it is not valid JSON')
    for (const { reason } of skipped) expect(reason).not.toMatch(/undefined/)
  })

  it('fails when no line is left, naming the first', () => {
    refuses('a.jsonl', utf8('{"text":\n{}'), 'data/no-rows')
    expect(() => read('a.jsonl', '\n{"text":\n{}')).toThrow(/line 2: it is not valid JSON/)
  })
})

describe('csv', () => {
  it('reads quoted cells, other delimiters and spaces round names', () => {
    expect(read('a.csv', 'id, prompt ,completion\n1,"a ""b"", c","d\ne"\n')).toEqual({
      documents: [{ kind: 'completion', prompt: 'a "b", c', completion: 'd\ne' }],
      skipped: [],
    })
    expect(read('a.csv', 'text;n\nhello;1\nworld;2').documents).toHaveLength(2)
  })

  it('reads a single column, and messages as JSON', () => {
    expect(read('a.csv', 'text\nhello\n\nworld\n').documents).toHaveLength(2)
    const messages = [{ role: 'assistant', content: 'x' }]
    const cell = JSON.stringify(messages).replaceAll('"', '""')
    expect(read('a.csv', `messages\n"${cell}"\n`).documents).toEqual([{ kind: 'chat', messages }])
  })

  it('names rows it cannot use', () => {
    const { documents, skipped } = read('a.csv', 'text,n\na,1\n,2\nb\nc,1,2\nd,4\n')
    expect(documents).toHaveLength(2)
    expect(skipped).toEqual([
      { line: 3, reason: '"text" is empty' },
      { line: 4, reason: 'it has 1 cells where the heading has 2' },
      { line: 5, reason: 'it has 3 cells where the heading has 2' },
    ])
    expect(read('a.csv', 'text,n\na,1\n"b,2\n').skipped[0]).toMatchObject({ line: 3 })
    expect(read('a.csv', 'messages\nx\n"[{""role"":""assistant"",""content"":""y""}]"').skipped).toEqual([
      { line: 2, reason: '"messages" is not valid JSON' },
    ])
  })

  it('refuses other columns and headings without rows', () => {
    refuses('a.csv', utf8('name,age\nx,1'), 'data/no-columns')
    refuses('a.csv', utf8('prompt,answer\nx,1'), 'data/no-columns')
    refuses('a.csv', utf8('text'), 'data/no-rows')
    refuses('a.csv', utf8('__proto__,constructor\nx,1'), 'data/no-columns')
  })
})

describe('any bytes', () => {
  it('are read or refused with a DataError', () => {
    const file = fc.constantFrom('a.txt', 'a.jsonl', 'a.csv')
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 300 }).map(utf8))
    fc.assert(
      fc.property(file, bytes, fc.constantFrom('', 'text\n', '{"text":"x"}\n'), (name, content, start) => {
        try {
          const { documents } = readDocuments(name, Uint8Array.of(...utf8(start), ...content))
          expect(documents.length).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toBeInstanceOf(DataError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
