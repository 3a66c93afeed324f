/**
 * Where a picture's caption comes from, the first of these that there is: a row of a `metadata.jsonl` in its folder or one
 * above it (as Hugging Face's imagefolder has it: `file_name` and a text), a text file of its own name beside it, or its name
 * ("dog_face-01.png" is "dog face"). A camera's name says nothing; then the folder's stands for it.
 */
import { cleanCaption, MAX_CAPTION_CHARACTERS } from './caption-text.ts'

/** The columns that hold a caption, the first one present counts. */
const CAPTION_COLUMNS = ['text', 'caption', 'prompt'] as const

export const METADATA_NAME = 'metadata.jsonl'

export interface SkippedLine {
  /** Of the file, with its path. */
  readonly name: string
  /** From 1. */
  readonly line?: number
  readonly reason: string
}

export const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1)
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
/** Without its last extension. */
export const stemOf = (path: string): string => path.replace(/\.[^./]*$/, '')

/** What cameras, phones, programs and messengers call their pictures; "DSC", "IMG 20250102 WA", "Screenshot 2025 01 02 at". */
const SAYS_NOTHING =
  /^(?:p?img|image|dsc[nf]?|dcim|pxl|mvimg|pano|photo|pic|picture|scan|screen ?shot|screenshot|bildschirmfoto|untitled|unnamed|download|file|frame|index|whatsapp image|signal|pasted image|copy|of|at|am|pm|wa|jpg|jpeg|png|webp|\s)*$/i

/** Empty where the name says nothing. */
export function captionOfName(name: string): string {
  const words = cleanCaption(stemOf(name).replace(/[_\-.+,()[\]]+/g, ' '))
    // Numbers that only tell copies apart, at the end and in front; "route 66 sign" keeps its own.
    .replace(/^(?:\d+ )+(?=\D)/, '')
    .replace(/(?: ?\d+)+$/, '')
    .trim()
  if (!/\p{L}/u.test(words) || SAYS_NOTHING.test(words.replace(/\d+/g, ' '))) return ''
  // A digest or a random name: letters and digits mixed without a vowel's chance of being a word.
  if (/^(?=.*\d)[0-9a-f ]{8,}$/i.test(words)) return ''
  return words
}

/** From the picture's own name, or its folder's; empty where neither says anything. */
export const captionOfPath = (path: string): string =>
  captionOfName(baseName(path)) ||
  captionOfName(baseName(folderOf(path).replace(/\/$/, '')).replaceAll('.', ' '))

/** A caption, or why it is none. */
export function checkCaption(text: string): { caption: string } | { reason: string } {
  const caption = cleanCaption(text)
  if (caption === '') return { reason: 'its caption is empty' }
  return caption.length > MAX_CAPTION_CHARACTERS
    ? { reason: `its caption is longer than ${MAX_CAPTION_CHARACTERS} characters` }
    : { caption }
}

export interface MetadataRows {
  /** By the picture's path. */
  readonly captions: ReadonlyMap<string, { readonly caption: string; readonly line: number }>
  readonly skipped: readonly SkippedLine[]
}

/** The path of a picture from where its metadata lie, or null where it would lead out of that folder. */
function pathFrom(folder: string, fileName: string): string | null {
  const parts = fileName.split(/[/\\]/).filter((part) => part !== '' && part !== '.')
  const leads = /^(?:[/\\]|[A-Za-z]:)/.test(fileName) || parts.includes('..') || parts.length === 0
  return leads ? null : folder + parts.join('/')
}

function readRow(folder: string, line: string): { path: string; caption: string } | string {
  let row: unknown
  try {
    row = JSON.parse(line)
  } catch {
    return 'it is not valid JSON'
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return 'it is not a JSON object'
  const fields = row as Record<string, unknown>
  if (typeof fields.file_name !== 'string') return 'it has no "file_name"'
  const path = pathFrom(folder, fields.file_name)
  if (path === null) return 'its "file_name" leads out of the folder'
  const column = CAPTION_COLUMNS.find((name) => Object.hasOwn(fields, name))
  const text = column === undefined ? undefined : fields[column]
  if (typeof text !== 'string') return `it has no ${CAPTION_COLUMNS.map((name) => `"${name}"`).join(' or ')}`
  const checked = checkCaption(text)
  return 'reason' in checked ? checked.reason : { path, caption: checked.caption }
}

/** @param name of the metadata file, with its path */
export function readMetadata(name: string, text: string): MetadataRows {
  const folder = folderOf(name)
  const captions = new Map<string, { caption: string; line: number }>()
  const skipped: SkippedLine[] = []
  let line = 0
  for (const content of text.split(/\r\n|[\r\n]/)) {
    line += 1
    if (content.trim() === '') continue
    const row = readRow(folder, content)
    if (typeof row === 'string') skipped.push({ name, line, reason: row })
    else if (captions.has(row.path)) skipped.push({ name, line, reason: `"${row.path}" has a line before` })
    else captions.set(row.path, { caption: row.caption, line })
  }
  return { captions, skipped }
}
