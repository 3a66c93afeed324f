/**
 * Documents as training windows of at most L + 1 tokens: L inputs and the L tokens that follow them.
 *
 * A whole text is cut with stride L, so that every token after the first is predicted exactly once. A row is
 * one window, truncated; of a conversation or a prompt with completion only what the assistant writes counts
 * towards the loss, and the token that ends its turn.
 */
import { DataError, FormatError } from '../errors.ts'
import type { Example } from '../training/model.ts'
import type { Document, SkippedRow } from './documents.ts'
import type { ChatMessage, Tokenizer } from './tokenizer.ts'

export interface TextExample extends Example {
  /** 2 to L + 1 token ids. */
  readonly ids: Int32Array
  /** counts[i] = 1: the prediction of ids[i + 1] counts. Length ids.length - 1. */
  readonly counts: Uint8Array
  /** How many do; at least 1. */
  readonly counted: number
}

/** A stretch of tokens that counts towards the loss, or does not. */
interface Segment {
  readonly ids: readonly number[]
  readonly counts: boolean
}

export interface WindowsCut {
  readonly examples: TextExample[]
  /** Documents that gave no example; `line` counts documents from 1. */
  readonly skipped: SkippedRow[]
}

function example(ids: Int32Array, counts: Uint8Array): TextExample {
  return { ids, counts, counted: counts.reduce((sum, count) => sum + count, 0) }
}

function* cutText(ids: readonly number[], length: number): Generator<TextExample> {
  for (let start = 0; start < ids.length - 1; start += length) {
    const window = Int32Array.from(ids.slice(start, start + length + 1))
    yield example(window, new Uint8Array(window.length - 1).fill(1))
  }
}

/** One window, truncated at length + 1 tokens. */
function joinSegments(segments: readonly Segment[], length: number): TextExample {
  const ids: number[] = []
  const counts: number[] = []
  for (const segment of segments) {
    for (const id of segment.ids) {
      if (ids.length > length) break
      ids.push(id)
      counts.push(segment.counts ? 1 : 0)
    }
  }
  // counts[i] is about the prediction of token i + 1: the first token is predicted by nothing.
  return example(Int32Array.from(ids), Uint8Array.from(counts.slice(1)))
}

const bos = (tokenizer: Tokenizer): number[] =>
  tokenizer.addBos && tokenizer.bosId !== undefined ? [tokenizer.bosId] : []

/**
 * Without a template: prompt and completion tokenised apart and joined, the end token after the completion.
 * `separator` follows what others than the assistant say.
 */
function plainSegments(messages: readonly ChatMessage[], tokenizer: Tokenizer, separator: string): Segment[] {
  const segments: Segment[] = [{ ids: bos(tokenizer), counts: false }]
  for (const { role, content } of messages) {
    segments.push(
      role === 'assistant'
        ? { ids: [...tokenizer.encode(content), tokenizer.eosId], counts: true }
        : { ids: tokenizer.encode(content + separator), counts: false },
    )
  }
  return segments
}

/**
 * The conversation as the model's template renders it. Each turn of the assistant is what the template adds
 * to the text up to its generation prompt; it counts up to its last special token, which ends the turn, and
 * not the line break some templates put after it. Turns are tokenised apart, as when the model generates them.
 */
function renderedSegments(messages: readonly ChatMessage[], tokenizer: Tokenizer): Segment[] | string {
  const whole = tokenizer.renderChat(messages, false)
  const segments: Segment[] = []
  let done = 0
  for (const [index, { role }] of messages.entries()) {
    if (role !== 'assistant') continue
    const before = tokenizer.renderChat(messages.slice(0, index), true)
    const after = tokenizer.renderChat(messages.slice(0, index + 1), false)
    if (before.length < done || !after.startsWith(before) || !whole.startsWith(after)) {
      return "the model's chat template does not render this conversation turn by turn"
    }
    const turn = tokenizer.encode(after.slice(before.length))
    const end = turn.findLastIndex((id) => tokenizer.isSpecial(id)) + 1 || turn.length
    segments.push({ ids: tokenizer.encode(before.slice(done)), counts: false })
    segments.push({ ids: turn.slice(0, end), counts: true }, { ids: turn.slice(end), counts: false })
    done = after.length
  }
  return segments
}

/** A conversation that the template refuses, say for its order of roles, is one row's fault. */
function templateSegments(messages: readonly ChatMessage[], tokenizer: Tokenizer): Segment[] | string {
  try {
    return renderedSegments(messages, tokenizer)
  } catch (error) {
    if (error instanceof FormatError && error.code === 'tokenizer/chat-template') return error.message
    throw error
  }
}

function* cutDocument(
  document: Document,
  tokenizer: Tokenizer,
  length: number,
): Generator<TextExample | string> {
  if (document.kind === 'text') {
    const ids = [...bos(tokenizer), ...tokenizer.encode(document.text)]
    if (ids.length < 2) yield 'it is too short to predict anything'
    else if (document.row) yield joinSegments([{ ids, counts: true }], length)
    else yield* cutText(ids, length)
    return
  }
  const messages: readonly ChatMessage[] =
    document.kind === 'chat'
      ? document.messages
      : [
          { role: 'user', content: document.prompt },
          { role: 'assistant', content: document.completion },
        ]
  const separator = document.kind === 'chat' ? '\n' : ''
  const segments = tokenizer.hasChatTemplate
    ? templateSegments(messages, tokenizer)
    : plainSegments(messages, tokenizer, separator)
  if (typeof segments === 'string') {
    yield segments
    return
  }
  const window = joinSegments(segments, length)
  yield window.counted > 0 ? window : `its prompt alone fills the ${length} tokens of a window`
}

/**
 * @param length L, the number of predictions a full window holds
 * @throws DataError `data/too-short` when no document gives an example
 */
export function cutWindows(documents: readonly Document[], tokenizer: Tokenizer, length: number): WindowsCut {
  if (!Number.isInteger(length) || length < 1) throw new RangeError(`A window of ${length} tokens is none.`)
  const examples: TextExample[] = []
  const skipped: SkippedRow[] = []
  documents.forEach((document, index) => {
    for (const window of cutDocument(document, tokenizer, length)) {
      if (typeof window === 'string') skipped.push({ line: index + 1, reason: window })
      else examples.push(window)
    }
  })
  if (examples.length === 0) {
    throw new DataError(
      'data/too-short',
      skipped.length === 0
        ? 'There is no text to learn from; add a file.'
        : `The data make no example to learn from: in document ${skipped[0].line} ${skipped[0].reason}; add more text.`,
    )
  }
  return { examples, skipped }
}

/** The examples alone; see `cutWindows`. */
export function windows(documents: readonly Document[], tokenizer: Tokenizer, length: number): TextExample[] {
  return cutWindows(documents, tokenizer, length).examples
}
