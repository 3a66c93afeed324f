/**
 * A person's files as documents: txt and md whole, jsonl and csv row by row. Files are read in the tab and
 * stay there, so a person must learn here what could not be used and why, by line.
 *
 * Text is UTF-8. A byte order mark is dropped and line ends become "\n", as in Python's text mode, so that a
 * file written on Windows trains as one written elsewhere.
 */
import Papa from 'papaparse'
import { DataError } from '../errors.ts'
import type { ChatMessage } from './tokenizer.ts'

export type Document =
  /** `row`: one row of a table, one window; otherwise a whole file, cut into windows. */
  | { readonly kind: 'text'; readonly text: string; readonly row: boolean }
  | { readonly kind: 'completion'; readonly prompt: string; readonly completion: string }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }

export interface SkippedRow {
  /** From 1; in csv the row, the heading being row 1. */
  readonly line?: number
  readonly reason: string
}

export interface DocumentsRead {
  readonly documents: Document[]
  readonly skipped: SkippedRow[]
}

/** 64 MB of text are some 20 million tokens: days of training for a tab, and memory it may not have. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024

/** A row becomes one window: of a million characters hardly any would be seen. */
export const MAX_ROW_CHARACTERS = 1_000_000

export const FILE_TYPES = ['txt', 'md', 'jsonl', 'csv'] as const
type FileType = (typeof FILE_TYPES)[number]

const EXTENSIONS: Readonly<Record<string, FileType>> = {
  txt: 'txt',
  text: 'txt',
  md: 'md',
  markdown: 'md',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  csv: 'csv',
}

const ROLES: readonly string[] = ['system', 'user', 'assistant']

const COLUMNS = '"text", or "prompt" and "completion", or "messages"'

function fileType(fileName: string): FileType {
  const extension = /\.([^./\\]+)$/.exec(fileName)?.[1].toLowerCase() ?? ''
  if (!Object.hasOwn(EXTENSIONS, extension)) {
    throw new DataError(
      'data/unsupported',
      `${fileName} is not of a known type; use a .txt, .md, .jsonl or .csv file.`,
    )
  }
  return EXTENSIONS[extension]
}

function readText(fileName: string, bytes: Uint8Array): string {
  if (bytes.length > MAX_FILE_BYTES) {
    throw new DataError(
      'data/too-large',
      `${fileName} has ${bytes.length} bytes, more than the ${MAX_FILE_BYTES} a file may have; split it and take a part.`,
    )
  }
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw new DataError('data/binary', `${fileName} is text in UTF-16; save it as UTF-8 and pick it again.`)
  }
  if (bytes.includes(0)) {
    throw new DataError(
      'data/binary',
      `${fileName} is not a text file; pick a .txt, .md, .jsonl or .csv file.`,
    )
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(bytes))
  } catch {
    throw new DataError(
      'data/binary',
      `${fileName} is not text in UTF-8; save it as UTF-8 and pick it again, or pick another file.`,
    )
  }
  if (text.trim() === '')
    throw new DataError('data/empty', `${fileName} is empty; pick a file with text in it.`)
  return text.replaceAll('\r\n', '\n').replaceAll('\r', '\n')
}

/** A row becomes a document, or the reason why it cannot. */
type Row = Document | string

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function chat(messages: unknown): Row {
  if (!Array.isArray(messages) || messages.length === 0) return '"messages" is not a list of messages'
  const read: ChatMessage[] = []
  for (const message of messages) {
    if (!isObject(message) || typeof message.role !== 'string' || typeof message.content !== 'string') {
      return 'a message has no "role" and "content" in text'
    }
    if (!ROLES.includes(message.role)) return 'a message\'s role is not "system", "user" or "assistant"'
    read.push({ role: message.role, content: message.content })
  }
  if (!read.some(({ role, content }) => role === 'assistant' && content.trim() !== '')) {
    return 'no message of the assistant has text to learn from'
  }
  return { kind: 'chat', messages: read }
}

function fromFields(fields: Record<string, unknown>): Row {
  const { text, prompt, completion, messages } = fields
  if (messages !== undefined) return chat(messages)
  if (prompt !== undefined || completion !== undefined) {
    if (typeof prompt !== 'string' || typeof completion !== 'string')
      return '"prompt" and "completion" are not both text'
    if (completion.trim() === '') return '"completion" is empty'
    return { kind: 'completion', prompt, completion }
  }
  if (typeof text !== 'string') return `it has no ${COLUMNS}`
  if (text.trim() === '') return '"text" is empty'
  return { kind: 'text', text, row: true }
}

function jsonlRow(line: string): Row {
  if (line.length > MAX_ROW_CHARACTERS) return `it is longer than ${MAX_ROW_CHARACTERS} characters`
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return 'it is not valid JSON'
  }
  return isObject(value) ? fromFields(value) : 'it is not a JSON object'
}

function* jsonlRows(text: string): Generator<{ line: number; row: Row }> {
  let line = 0
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    line++
    const content = text.slice(start, end)
    if (content.trim() !== '') yield { line, row: jsonlRow(content) }
    start = end + 1
  }
}

function csvRow(heading: readonly string[], cells: readonly string[]): Row {
  if (cells.length !== heading.length) {
    return `it has ${cells.length} cells where the heading has ${heading.length}`
  }
  if (cells.reduce((sum, cell) => sum + cell.length, 0) > MAX_ROW_CHARACTERS) {
    return `it is longer than ${MAX_ROW_CHARACTERS} characters`
  }
  const fields = new Map(heading.map((column, index) => [column, cells[index]]))
  const messages = fields.get('messages')
  if (messages !== undefined) {
    try {
      return chat(JSON.parse(messages))
    } catch {
      return '"messages" is not valid JSON'
    }
  }
  return fromFields({
    text: fields.get('text'),
    prompt: fields.get('prompt'),
    completion: fields.get('completion'),
  })
}

function* csvRows(fileName: string, text: string): Generator<{ line: number; row: Row }> {
  const { data, errors } = Papa.parse<string[]>(text, { header: false, skipEmptyLines: false })
  const broken = new Map<number, string>()
  for (const error of errors) {
    // An undetectable delimiter only means a single column.
    if (error.type !== 'Delimiter' && error.row !== undefined) broken.set(error.row, error.message)
  }
  const heading = data[0].map((column) => column.trim())
  const usable =
    heading.includes('text') ||
    heading.includes('messages') ||
    (heading.includes('prompt') && heading.includes('completion'))
  if (!usable) {
    throw new DataError(
      'data/no-columns',
      `${fileName} has no column ${COLUMNS} in its first row; name its columns so.`,
    )
  }
  for (let index = 1; index < data.length; index++) {
    const cells = data[index]
    if (cells.every((cell) => cell.trim() === '')) continue
    const problem = broken.get(index)
    yield {
      line: index + 1,
      row: problem === undefined ? csvRow(heading, cells) : `its quotes are broken (${problem})`,
    }
  }
}

/**
 * Reads one file. Rows that cannot be used are named in `skipped`.
 *
 * @throws DataError `data/unsupported`, `data/too-large`, `data/binary`, `data/empty`, `data/no-columns`, and
 * `data/no-rows` when no row of a table can be used.
 */
export function readDocuments(fileName: string, bytes: Uint8Array): DocumentsRead {
  const type = fileType(fileName)
  const text = readText(fileName, bytes)
  if (type === 'txt' || type === 'md') return { documents: [{ kind: 'text', text, row: false }], skipped: [] }

  const documents: Document[] = []
  const skipped: SkippedRow[] = []
  for (const { line, row } of type === 'jsonl' ? jsonlRows(text) : csvRows(fileName, text)) {
    if (typeof row === 'string') skipped.push({ line, reason: row })
    else documents.push(row)
  }
  if (documents.length === 0) {
    const first = skipped[0]
    throw new DataError(
      'data/no-rows',
      first
        ? `${fileName} has no row that can be used; line ${first.line}: ${first.reason}.`
        : `${fileName} has a heading and no rows; add some.`,
    )
  }
  return { documents, skipped }
}
