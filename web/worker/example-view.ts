/**
 * One example as the model sees it: its tokens as text, and which of them count for the loss. For a person who
 * wants to know how their text was understood.
 */
import type { Tokenizer } from '../../models/text/tokenizer.ts'
import type { TextExample } from '../../models/text/windows.ts'

export interface TokenView {
  /** A token's text; several tokens' where one alone is no whole character. */
  readonly text: string
  /** The model is trained to predict it. */
  readonly counts: boolean
}

/** A character has at most four bytes, so it is whole after four tokens at the latest. */
const MOST_TOKENS_A_CHARACTER = 4
const INCOMPLETE = '\ufffd'

export function viewTokens({ ids, counts }: TextExample, tokenizer: Tokenizer): TokenView[] {
  const views: TokenView[] = []
  for (let start = 0; start < ids.length; ) {
    let length = 1
    const textOf = () => tokenizer.decode(Array.from(ids.subarray(start, start + length)))
    let text = textOf()
    while (text.includes(INCOMPLETE) && length < MOST_TOKENS_A_CHARACTER && start + length < ids.length) {
      length += 1
      text = textOf()
    }
    // The first token is predicted by nothing.
    views.push({ text, counts: start > 0 && counts[start - 1] === 1 })
    start += length
  }
  return views
}
