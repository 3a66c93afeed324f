import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDocuments } from '../../models/text/documents.ts'
import { PAIRS_FILE_NAME, pairsFile, readPairs } from './pairs.ts'

const words = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => text.trim() !== '')

describe('questions and answers written by hand', () => {
  it('come back from their file as they were written', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ question: words, answer: words }), { minLength: 1 }), (pairs) => {
        const file = pairsFile(pairs)
        expect(readPairs(file ?? undefined)).toEqual(
          pairs.map(({ question, answer }) => ({ question: question.trim(), answer: answer.trim() })),
        )
      }),
    )
  })

  it('are conversations to the reader, one a whole pair', () => {
    const file = pairsFile([
      { question: 'What is a fjord?', answer: 'A flooded valley.' },
      { question: 'Half a pair', answer: ' ' },
    ])
    const { documents, skipped } = readDocuments(PAIRS_FILE_NAME, file?.bytes ?? new Uint8Array())
    expect(documents).toMatchObject([{ kind: 'chat', messages: [{ role: 'user' }, { role: 'assistant' }] }])
    expect(skipped).toEqual([])
  })

  it('make no file before one is whole, and leave a foreign file alone', () => {
    expect(pairsFile([{ question: '', answer: 'x' }])).toBeNull()
    const foreign = { name: PAIRS_FILE_NAME, bytes: new TextEncoder().encode('{"text":"hello"}\n') }
    expect(readPairs(foreign)).toEqual([])
  })
})
