/**
 * SmolLM2-135M-Instruct's likeliest answers to three questions, token by token through the cache, against transformers:
 * compared up to where the reference itself was undecided.
 */
import { expect, it } from 'vitest'
import { fixtureJson } from '../testing/fixtures.ts'
import { onSmolLm2, PATIENCE_MS } from '../testing/smollm2.ts'
import { Generator } from '../text/generate.ts'
import type { ChatMessage } from '../text/tokenizer.ts'

interface Answer {
  readonly messages: ChatMessage[]
  readonly prompt_ids: number[]
  readonly ids: number[]
  readonly margins: number[]
}

/** A lead this small over the second token is within rounding. */
const UNDECIDED = 0.05

onSmolLm2('Answers of SmolLM2-135M-Instruct', (running) => {
  it(
    'the likeliest tokens of every answer',
    async () => {
      const answers: Answer[] = fixtureJson('smollm2-135m/greedy.json')
      expect(answers.length).toBe(3)
      const { model, tokenizer } = running()
      const generator = new Generator(model, tokenizer)
      try {
        for (const { messages, prompt_ids: prompt, ids, margins } of answers) {
          expect(tokenizer.encode(tokenizer.renderChat(messages, true))).toEqual(prompt)
          const undecided = margins.findIndex((margin) => margin < UNDECIDED)
          const compared = undecided < 0 ? ids.length : undecided
          expect(compared, 'tokens to compare').toBeGreaterThan(0)
          const found: number[] = []
          // The reference goes on after the end token.
          const options = { adapter: null, prompt, maxTokens: compared, temperature: 0, stopIds: [] }
          for await (const { id } of generator.generate(options)) found.push(id)
          expect(found, messages[0].content).toEqual(ids.slice(0, compared))
        }
      } finally {
        generator.dispose()
      }
    },
    PATIENCE_MS,
  )
})
