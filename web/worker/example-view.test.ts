import fs from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTokenizer } from '../../models/text/tokenizer.ts'
import { cutWindows } from '../../models/text/windows.ts'
import { viewTokens } from './example-view.ts'

const json = (name: string) =>
  JSON.parse(fs.readFileSync(new URL(`../../models/catalog/tiny/${name}`, import.meta.url), 'utf8'))
const tokenizer = createTokenizer(json('tokenizer.json'), json('tokenizer_config.json'))

describe('an example as it is shown', () => {
  it('reads as the text it was made of, whatever the characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 2, maxLength: 60 }), (text) => {
        const ids = Int32Array.from(tokenizer.encode(text))
        fc.pre(ids.length >= 2)
        const views = viewTokens(
          { ids, counts: new Uint8Array(ids.length - 1).fill(1), counted: 1 },
          tokenizer,
        )
        expect(views.map((view) => view.text).join('')).toBe(tokenizer.decode(Array.from(ids)))
      }),
      { numRuns: 200 },
    )
  })

  it('marks the answer and not the question', () => {
    const [example] = cutWindows(
      [{ kind: 'completion', prompt: 'Who keeps the light?', completion: ' The keeper.' }],
      tokenizer,
      64,
    ).examples
    const views = viewTokens(example, tokenizer)
    const counted = views.filter((view) => view.counts).map((view) => view.text)
    expect(counted.join('')).toContain(' The keeper.')
    const asked = views.filter((view) => !view.counts).map((view) => view.text)
    expect(asked.join('')).toContain('Who keeps the light?')
  })
})
