/** Choosing the text. */
import { bytes, count, counted } from '../format.ts'

export const data = {
  title: 'Choose your text',
  lead: 'A few pages are enough. The more it sounds like you, the more there is to learn.',
  drop: 'Drop files here',
  dropFormats: 'txt, md, jsonl or csv',
  pick: 'Choose files',
  pasteLabel: 'Or paste text',
  pastePlaceholder: 'Paste or type here',
  pasteAdd: 'Use this text',
  pasteName: (number: number) => `pasted-${number}.txt`,
  sampleLabel: 'Or take a sample',
  reading: 'Reading your text…',
  readingSample: (title: string) => `Fetching “${title}”…`,
  sampleFailed: (title: string) =>
    `The sample “${title}” could not be fetched; check the connection and try again.`,
  fileTooLarge: (name: string, most: number) =>
    `The file “${name}” is larger than ${bytes(most)}; split it and take a part.`,
  fileUnreadable: (name: string) =>
    `The file “${name}” could not be read; it may have been moved or be in use. Choose it again.`,
  filesTitle: 'Your text',
  remove: (name: string) => `Remove ${name}`,
  removeShort: 'Remove',
  fileFacts: (documents: number, size: number) => `${counted(documents, 'document')} · ${bytes(size)}`,
  fileUnused: 'not used',
  skippedTitle: (number: number) => `${counted(number, 'row')} skipped`,
  skippedLine: (row: { line?: number; document?: number; reason: string }) =>
    row.line
      ? `Line ${count(row.line)}: ${row.reason}`
      : row.document
        ? `Document ${count(row.document)}: ${row.reason}`
        : row.reason,
  skippedMore: (number: number) => `…and ${count(number)} more.`,
  documents: 'Documents',
  examples: 'Examples',
  tokens: 'Tokens',
  heldOut: 'Held out',
  explanation: (windowTokens: number) =>
    `An example is a window of up to ${counted(windowTokens, 'token')}. The held-out examples are kept aside to measure the loss on text that training does not see.`,
  excerpt: 'How it begins',
  stays:
    'Your text stays on this device. A copy is kept in this browser’s storage so that a reload can go on; you can delete it at the end.',
  notKept: 'This browser cannot keep a copy, so a reload starts again.',
  tooShort: 'This text is too short: training needs at least two examples. Add more text.',
  needMore: 'Add text to continue.',
  continue: 'Continue to training',
}
