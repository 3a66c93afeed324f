/** Choosing the text. */
import { bytes, count, counted } from '../format.ts'
import { byMedium } from './by-medium.ts'

const text = {
  title: 'Choose your text',
  lead: 'A few pages are enough. The more it sounds like you, the more there is to learn.',
  waysLabel: 'Where your text comes from',
  ways: { files: 'Files', write: 'Write', paste: 'Paste', sample: 'Sample' },
  drop: 'Drop files or a folder here',
  dropFormats: 'txt, md, jsonl or csv',
  pick: 'Choose files',
  pickFolder: 'Choose a folder',
  folderLeftOut: (files: number) => `${counted(files, 'file')} of the folder left out: not text by the name.`,
  folderTooMany: (most: number) =>
    `The folder holds more than ${count(most)} texts; the first ${count(most)} were taken.`,
  folderNoTexts:
    'There is no .txt, .md, .jsonl or .csv file in this folder; choose another, or save your texts as one of these.',
  pairsLead:
    'Write questions and the answers you want to hear. About ten are enough for a first try. They are kept as you write.',
  question: (number: number) => `Question ${number}`,
  answer: (number: number) => `Answer ${number}`,
  questionPlaceholder: 'What do we call the small bread rolls here?',
  answerPlaceholder: 'Around here they are called Schrippen.',
  pairUnfinished: 'Not used yet: a pair needs both a question and an answer.',
  pairAdd: 'Add another',
  pairsWritten: (written: number, suggested: number) =>
    written < suggested
      ? `${count(written)} of about ${count(suggested)} written`
      : `${count(written)} written`,
  pasteLabel: 'Paste or type a text of yours. It is read as one document.',
  pastePlaceholder: 'Paste or type here',
  pasteAdd: 'Use this text',
  pasteName: (number: number) => `pasted-${number}.txt`,
  sampleLead: 'No text at hand? These are in the public domain and come with the page.',
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
  fileFacts: (size: number, examples: number, tokens: number) =>
    `${bytes(size)} · ${counted(examples, 'example')} · ${counted(tokens, 'token')} that count`,
  fileUnused: 'not used',
  fullRows: (rows: number, tokens: number) =>
    `${counted(rows, 'row')} of more than ${count(tokens)} tokens: the rest of each is not used.`,
  skippedTitle: (number: number) => `${counted(number, 'row')} skipped`,
  skippedLine: (row: { file?: string; line?: number; document?: number; reason: string }) =>
    row.file
      ? `${row.file}${row.line ? `, line ${count(row.line)}` : ''}: ${row.reason}`
      : row.line
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
  exampleTitle: (number: number, total: number) => `Example ${count(number)} of ${count(total)}`,
  exampleFacts: (tokens: number, countedTokens: number, heldOut: boolean) =>
    `${counted(tokens, 'token')}, ${count(countedTokens)} count${heldOut ? ', held out' : ''}`,
  examplePrevious: 'Previous',
  exampleNext: 'Next',
  exampleCountsMark: 'Marked',
  exampleCounts:
    'tokens count for the loss: the model learns to write them. The others are there to be read, such as a question; the first token of all has nothing before it.',
  stays:
    'Your text stays on this device. A copy is kept in this browser’s storage so that a reload can go on; you can delete it at the end.',
  notKept: 'This browser cannot keep a copy, so a reload starts again.',
  tooShort: 'This text is too short: training needs at least two examples. Add more text.',
  needMore: 'Add text to continue.',
  continue: 'Continue to training',
}

/** Where the model learns from pictures. */
const pictures = {
  title: 'Choose your pictures',
  lead: 'A few dozen of one kind are enough. The more alike their style, the more there is to learn.',
  waysLabel: 'Where your pictures come from',
  drop: 'Drop pictures or a folder here',
  dropFormats:
    'png, jpg or webp. A picture is captioned by its name, by a .txt of the same name beside it, or by a metadata.jsonl',
  folderLeftOut: (files: number) =>
    `${counted(files, 'file')} of the folder left out: neither pictures nor captions by the name.`,
  folderTooMany: (most: number) =>
    `The folder holds more than ${count(most)} files; the first ${count(most)} were taken.`,
  folderNoTexts: 'There is no png, jpg or webp picture in this folder; choose another.',
  sampleLead: 'No pictures at hand? These come with the page, 32 emoji in each set.',
  reading: 'Reading your pictures…',
  filesTitle: 'Your pictures',
  fileFacts: (size: number, examples: number) => `${counted(examples, 'picture')} · ${bytes(size)} kept`,
  skippedTitle: (number: number) => `${counted(number, 'file or line', 'files or lines')} not used`,
  documents: 'Pictures',
  examples: 'To learn from',
  explanation: () =>
    'The held-out pictures are kept aside to measure the loss on pictures that training does not see.',
  stays:
    'Your pictures stay on this device. A small copy of each, as you see it here, is kept in this browser’s storage so that a reload can go on; you can delete it at the end. What else a photo’s file holds, such as the place and the date, is not read into it.',
  tooShort: 'These are too few: training needs at least two pictures. Add more.',
  needMore: 'Add pictures to continue.',
}

export const data = byMedium(text, pictures)
