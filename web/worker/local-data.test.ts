import fs from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createTokenizer } from '../../models/text/tokenizer.ts'
import { readLocalData } from './local-data.ts'

const read = (name: string) =>
  JSON.parse(fs.readFileSync(new URL(`../../models/catalog/tiny/${name}`, import.meta.url), 'utf8'))
const tokenizer = createTokenizer(read('tokenizer.json'), read('tokenizer_config.json'))
const bytes = (text: string) => new TextEncoder().encode(text)
const story = 'The rain had not stopped since breakfast, and nobody wanted to go out. '.repeat(40)

describe('a person’s files', () => {
  it('become examples, a tenth of them held out', () => {
    const { train, heldOut, report } = readLocalData([{ name: 'a.txt', bytes: bytes(story) }], tokenizer, 32)
    expect(train.length).toBe(report.trainExamples)
    expect(heldOut.length).toBe(report.heldOutExamples)
    expect(report.heldOutExamples).toBeGreaterThan(0)
    expect(report.trainExamples).toBeGreaterThan(5 * report.heldOutExamples)
    const counted = [...train, ...heldOut].reduce((sum, example) => sum + example.counted, 0)
    expect(report.tokens).toBe(counted)
    expect(counted).toBe(tokenizer.encode(story).length - 1)
    expect(report.files[0]).toMatchObject({
      examples: train.length + heldOut.length,
      tokens: counted,
      fullRows: 0,
    })
  })

  it('fail one by one: the others go on', () => {
    const { report } = readLocalData(
      [
        { name: 'photo.txt', bytes: Uint8Array.of(0xff, 0xd8, 0, 1) },
        { name: 'empty.txt', bytes: new Uint8Array() },
        { name: 'short.txt', bytes: bytes('a') },
        { name: 'rows.jsonl', bytes: bytes(`{"text":"${story}"}\n{broken\n{"text":"${story} again"}`) },
      ],
      tokenizer,
      32,
    )
    expect(report.files.map(({ problem }) => problem?.code ?? null)).toEqual([
      'data/binary',
      'data/empty',
      'data/too-short',
      null,
    ])
    expect(report.files[3].skipped).toEqual([{ line: 2, reason: 'it is not valid JSON' }])
    expect(report.files[3]).toMatchObject({ examples: 2, tokens: 64, fullRows: 2 })
    expect(report.documents).toBe(2)
    expect(report.trainExamples + report.heldOutExamples).toBe(2)
  })

  it('may all be unusable', () => {
    const { report } = readLocalData([{ name: 'notes.docx', bytes: bytes(story) }], tokenizer, 32)
    expect(report).toMatchObject({ documents: 0, trainExamples: 0, heldOutExamples: 0, tokens: 0 })
    expect(report.files[0].problem?.code).toBe('data/unsupported')
  })
})
