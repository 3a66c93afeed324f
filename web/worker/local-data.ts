/**
 * A person's files as examples: read, cut into windows, a tenth held out. One file's failure is that file's
 * alone; the others go on. The examples stay in the worker, the page gets counts and reasons.
 */

import { type Document, readDocuments } from '../../models/text/documents.ts'
import type { Tokenizer } from '../../models/text/tokenizer.ts'
import { cutWindows, type TextExample } from '../../models/text/windows.ts'
import { splitHeldOut } from '../../models/training/holdout.ts'
import { toProblem } from '../state/problems.ts'
import type { DataReport, FileReport, LocalFile } from './api.ts'

export interface LocalData {
  readonly train: readonly TextExample[]
  readonly heldOut: readonly TextExample[]
  /** All examples in the order of the files, with the file each comes from. */
  readonly examples: readonly { readonly example: TextExample; readonly fileName: string }[]
  /** Turns of a conversation are separated by a line break where the model has no template for them. */
  readonly hasConversations: boolean
  readonly report: DataReport
}

/** A file is one text or a table of rows, each of which is one window; never both. */
const isRow = (document: Document | undefined) =>
  document !== undefined && (document.kind !== 'text' || document.row)

export function readLocalData(
  files: readonly LocalFile[],
  tokenizer: Tokenizer,
  windowTokens: number,
): LocalData {
  const reports: FileReport[] = []
  const examples: { example: TextExample; fileName: string }[] = []
  let hasConversations = false
  let documents = 0
  for (const file of files) {
    try {
      const read = readDocuments(file.name, file.bytes)
      const cut = cutWindows(read.documents, tokenizer, windowTokens)
      // One by one: a spread of a long file's windows would overflow the call stack.
      for (const example of cut.examples) examples.push({ example, fileName: file.name })
      documents += read.documents.length
      hasConversations ||= read.documents.some((document) => document.kind === 'chat')
      reports.push({
        name: file.name,
        fileBytes: file.bytes.length,
        documents: read.documents.length,
        examples: cut.examples.length,
        tokens: cut.examples.reduce((sum, example) => sum + example.counted, 0),
        fullRows: isRow(read.documents[0])
          ? cut.examples.filter((example) => example.ids.length > windowTokens).length
          : 0,
        skipped: [...read.skipped, ...cut.skipped.map(({ line, reason }) => ({ document: line, reason }))],
        problem: null,
      })
    } catch (error) {
      reports.push({
        name: file.name,
        fileBytes: file.bytes.length,
        documents: 0,
        examples: 0,
        tokens: 0,
        fullRows: 0,
        skipped: [],
        problem: toProblem(error),
      })
    }
  }
  const { train, heldOut } = splitHeldOut(examples.map(({ example }) => example))
  return {
    train,
    heldOut,
    examples,
    hasConversations,
    report: {
      files: reports,
      documents,
      trainExamples: train.length,
      heldOutExamples: heldOut.length,
      tokens: examples.reduce((sum, { example }) => sum + example.counted, 0),
      windowTokens,
    },
  }
}
