/** A person's files as examples: read, cut into windows, and what could not be used said by file and line. */
import path from 'node:path'
import type { LoadedModel } from '../../models/families/family.ts'
import { type Document, readDocuments } from '../../models/text/documents.ts'
import type { Tokenizer } from '../../models/text/tokenizer.ts'
import { cutWindows, type TextExample } from '../../models/text/windows.ts'
import type { Example } from '../../models/training/model.ts'
import type { Arguments, OptionSpec } from './args.ts'
import type { Console } from './console.ts'
import { UsageError } from './errors.ts'
import { readBytes } from './files.ts'

export const DATA_OPTION: OptionSpec = {
  type: 'string',
  multiple: true,
  value: 'FILE…',
  help: '.txt, .md, .jsonl (text, or prompt and completion, or messages) or .csv; for a model that draws, folders of pictures with captions, or a set of them (.safetensors with .json)',
}

/** `--data a b c` as well as `--data a --data b`; `positionals` are what followed. */
export function dataFiles(args: Arguments, positionals: readonly string[]): string[] {
  const named = args.texts('data')
  if (named.length === 0) throw new UsageError('--data is missing: name at least one file.')
  return [...named, ...positionals]
}

/** Lines of a broken file named on stderr; the rest is counted. */
const SHOWN_ROWS = 5

export interface LocalData {
  readonly all: readonly Example[]
  readonly train: readonly Example[]
  readonly heldOut: readonly Example[]
}

/** As the model takes them. Throws DataError when a file, or all of them together, give nothing to learn from. */
export async function readData(
  files: readonly string[],
  loaded: LoadedModel,
  length: number,
  console: Console,
): Promise<LocalData> {
  switch (loaded.medium) {
    case 'text': {
      const all = await readTexts(files, loaded.tokenizer, length, console)
      return { all, ...loaded.split(all) }
    }
    case 'pictures': {
      const { readPictureFiles } = await import('./local-pictures.ts')
      const all = (await readPictureFiles(files, loaded.side, console)).map(loaded.example)
      return { all, ...loaded.split(all) }
    }
    default: {
      const never: never = loaded
      return never
    }
  }
}

async function readTexts(
  files: readonly string[],
  tokenizer: Tokenizer,
  length: number,
  console: Console,
): Promise<TextExample[]> {
  const documents: Document[] = []
  for (const file of files) {
    const read = readDocuments(path.basename(file), await readBytes(file))
    documents.push(...read.documents)
    for (const { line, reason } of read.skipped.slice(0, SHOWN_ROWS)) {
      console.note(`${file}: line ${line} is skipped: ${reason}.`)
    }
    const more = read.skipped.length - SHOWN_ROWS
    if (more > 0) console.note(`${file}: ${more} more lines are skipped.`)
  }
  const { examples, skipped } = cutWindows(documents, tokenizer, length)
  if (skipped.length > 0) {
    console.note(`${skipped.length} of ${documents.length} documents give no example: ${skipped[0].reason}.`)
  }
  return examples
}
