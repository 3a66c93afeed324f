/**
 * A person's files as examples: read, cut into windows, a tenth held out. One file's failure is that file's
 * alone; the others go on. The examples stay in the worker, the page gets counts and reasons.
 */
import type { Tokenizer } from '../../models/llama/tokenizer.ts'
import { type Document, readDocuments } from '../../models/training/documents.ts'
import { splitHeldOut } from '../../models/training/holdout.ts'
import { cutWindows, type TextExample } from '../../models/training/windows.ts'
import { toProblem } from '../state/problems.ts'
import type { DataReport, FileReport, LocalFile } from './api.ts'

const EXCERPT_CHARACTERS = 400
const MAX_EXCERPTS = 2

export interface LocalData {
  readonly train: readonly TextExample[]
  readonly heldOut: readonly TextExample[]
  readonly report: DataReport
}

export function readLocalData(
  files: readonly LocalFile[],
  tokenizer: Tokenizer,
  windowTokens: number,
): LocalData {
  const reports: FileReport[] = []
  const examples: TextExample[] = []
  const excerpts: string[] = []
  let documents = 0
  for (const file of files) {
    try {
      const read = readDocuments(file.name, file.bytes)
      const cut = cutWindows(read.documents, tokenizer, windowTokens)
      // One by one: a spread of a long file's windows would overflow the call stack.
      for (const example of cut.examples) examples.push(example)
      documents += read.documents.length
      if (excerpts.length < MAX_EXCERPTS && read.documents.length > 0)
        excerpts.push(excerptOf(read.documents[0]))
      reports.push({
        name: file.name,
        fileBytes: file.bytes.length,
        documents: read.documents.length,
        skipped: [...read.skipped, ...cut.skipped.map(({ line, reason }) => ({ document: line, reason }))],
        problem: null,
      })
    } catch (error) {
      reports.push({
        name: file.name,
        fileBytes: file.bytes.length,
        documents: 0,
        skipped: [],
        problem: toProblem(error),
      })
    }
  }
  const { train, heldOut } = splitHeldOut(examples)
  return {
    train,
    heldOut,
    report: {
      files: reports,
      documents,
      trainExamples: train.length,
      heldOutExamples: heldOut.length,
      tokens: examples.reduce((sum, example) => sum + example.counted, 0),
      windowTokens,
      excerpts,
    },
  }
}

function excerptOf(document: Document): string {
  const text =
    document.kind === 'text'
      ? document.text
      : document.kind === 'completion'
        ? `${document.prompt}\n${document.completion}`
        : document.messages.map((message) => `${message.role}: ${message.content}`).join('\n')
  const trimmed = text.trim()
  return trimmed.length > EXCERPT_CHARACTERS ? `${trimmed.slice(0, EXCERPT_CHARACTERS)}…` : trimmed
}
