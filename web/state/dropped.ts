/**
 * What was dropped or picked, as files with the path inside their folder. Of a folder only what can be text is
 * taken: a photo album among the notes is no mistake that needs a sentence each.
 */

/** More small files than anyone wrote by hand; reading on would only freeze the page. */
export const MAX_FOLDER_FILES = 500

export interface PickedFile {
  readonly name: string
  readonly file: File
}

export interface Picked {
  readonly files: readonly PickedFile[]
  /** Files of a folder that are not text by their name. */
  readonly leftOut: number
  /** The folder holds more than MAX_FOLDER_FILES texts. */
  readonly tooMany: boolean
}

const TEXT_NAME = /\.(?:txt|text|md|markdown|jsonl|ndjson|csv)$/i

/** What a hidden file begins with; editors and systems leave such beside the person's own. */
const isHidden = (path: string) => path.split('/').some((part) => part.startsWith('.'))

/** Sorted by name, so that the same folder is read in the same order everywhere. */
export function chooseFromFolder(found: readonly PickedFile[]): Picked {
  const visible = found.filter(({ name }) => !isHidden(name))
  const texts = visible
    .filter(({ name }) => TEXT_NAME.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return {
    files: texts.slice(0, MAX_FOLDER_FILES),
    leftOut: visible.length - texts.length,
    tooMany: texts.length > MAX_FOLDER_FILES,
  }
}

/** From an `<input type=file>`, of files or of a folder. */
export function fromInput(list: FileList | null): Picked {
  const files = Array.from(list ?? [], (file) => ({ name: file.webkitRelativePath || file.name, file }))
  const isFolder = files.some(({ name, file }) => name !== file.name)
  return isFolder ? chooseFromFolder(files) : { files, leftOut: 0, tooMany: false }
}

/** Entries must be taken from the event before anything is awaited: the browser empties it afterwards. */
export async function fromDrop(transfer: DataTransfer | null): Promise<Picked> {
  const items = Array.from(transfer?.items ?? []).filter(({ kind }) => kind === 'file')
  const entries = items.map((item) => item.webkitGetAsEntry())
  const plain = Array.from(transfer?.files ?? [], (file) => ({ name: file.name, file }))
  if (!entries.some((entry) => entry?.isDirectory)) return { files: plain, leftOut: 0, tooMany: false }
  const found: PickedFile[] = []
  // One more than is taken, so that "too many" can be told; hidden and other files do not count.
  const enough = () => found.filter(({ name }) => TEXT_NAME.test(name)).length > MAX_FOLDER_FILES
  for (const entry of entries) if (entry) await collect(entry, found, enough)
  return chooseFromFolder(found)
}

async function collect(entry: FileSystemEntry, found: PickedFile[], enough: () => boolean): Promise<void> {
  if (enough()) return
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    )
    found.push({ name: entry.fullPath.replace(/^\//, ''), file })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  // Browsers hand out a hundred entries at a time, and an empty list at the end.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (batch.length === 0) return
    for (const child of batch) await collect(child, found, enough)
  }
}
