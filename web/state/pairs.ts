/**
 * Questions and answers written by hand. They are a file like any other (jsonl with `messages`), rewritten while
 * the person writes, so that a reload brings them back and the reader in the worker needs to know nothing of them.
 */
import type { LocalFile } from '../worker/api.ts'

export interface Pair {
  readonly question: string
  readonly answer: string
}

export const PAIRS_FILE_NAME = 'questions-and-answers.jsonl'

/** A class writes about ten; below two there is nothing to hold out. */
export const SUGGESTED_PAIRS = 10

export const isWritten = ({ question, answer }: Pair) => question.trim() !== '' && answer.trim() !== ''
export const isBegun = ({ question, answer }: Pair) => question.trim() !== '' || answer.trim() !== ''

/** Null while no pair is whole. */
export function pairsFile(pairs: readonly Pair[]): LocalFile | null {
  const lines = pairs.filter(isWritten).map(({ question, answer }) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: question.trim() },
        { role: 'assistant', content: answer.trim() },
      ],
    }),
  )
  if (lines.length === 0) return null
  return { name: PAIRS_FILE_NAME, bytes: new TextEncoder().encode(`${lines.join('\n')}\n`) }
}

/** The pairs of such a file; what another program wrote under its name is left alone. */
export function readPairs(file: LocalFile | undefined): Pair[] {
  if (file?.name !== PAIRS_FILE_NAME) return []
  const pairs: Pair[] = []
  for (const line of new TextDecoder().decode(file.bytes).split('\n')) {
    if (line === '') continue
    try {
      const [asked, answered] = JSON.parse(line).messages
      pairs.push({ question: String(asked.content), answer: String(answered.content) })
    } catch {
      return []
    }
  }
  return pairs
}
