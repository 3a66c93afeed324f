/**
 * What was dropped or picked, as files with the path inside their folder. Of a folder only what can be text is
 * taken: a photo album among the notes is no mistake that needs a sentence each.
 */

/** What of a folder is taken: files whose names look like it, and how many. */
export interface FolderRule {
  readonly name: RegExp
  readonly most: number
}

/** More small files than anyone wrote by hand; reading on would only freeze the page. */
export const TEXTS: FolderRule = { name: /\.(?:txt|text|md|markdown|jsonl|ndjson|csv)$/i, most: 500 }

/** Pictures, and what captions them; they are read one at a time. */
export const PICTURES: FolderRule = { name: /\.(?:png|jpe?g|webp|txt|jsonl|json|safetensors)$/i, most: 5000 }

export interface PickedFile {
  readonly name: string
  readonly file: File
}

export interface Picked {
  readonly files: readonly PickedFile[]
  /** Files of a folder that are of another kind by their name. */
  readonly leftOut: number
  /** The folder holds more than are taken. */
  readonly tooMany: boolean
}

/** What a hidden file begins with; editors and systems leave such beside the person's own. */
const isHidden = (path: string) => path.split('/').some((part) => part.startsWith('.'))

/** Sorted by name, so that the same folder is read in the same order everywhere. */
export function chooseFromFolder(found: readonly PickedFile[], rule: FolderRule): Picked {
  const visible = found.filter(({ name }) => !isHidden(name))
  const taken = visible
    .filter(({ name }) => rule.name.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return {
    files: taken.slice(0, rule.most),
    leftOut: visible.length - taken.length,
    tooMany: taken.length > rule.most,
  }
}

/** From an `<input type=file>`, of files or of a folder. */
export function fromInput(list: FileList | null, rule: FolderRule): Picked {
  const files = Array.from(list ?? [], (file) => ({ name: file.webkitRelativePath || file.name, file }))
  const isFolder = files.some(({ name, file }) => name !== file.name)
  return isFolder ? chooseFromFolder(files, rule) : { files, leftOut: 0, tooMany: false }
}

/** Entries must be taken from the event before anything is awaited: the browser empties it afterwards. */
export async function fromDrop(transfer: DataTransfer | null, rule: FolderRule): Promise<Picked> {
  const items = Array.from(transfer?.items ?? []).filter(({ kind }) => kind === 'file')
  const entries = items.map((item) => item.webkitGetAsEntry())
  const plain = Array.from(transfer?.files ?? [], (file) => ({ name: file.name, file }))
  if (!entries.some((entry) => entry?.isDirectory)) return { files: plain, leftOut: 0, tooMany: false }
  const found: PickedFile[] = []
  // One more than is taken, so that "too many" can be told; hidden and other files do not count.
  let matching = 0
  const take = (picked: PickedFile) => {
    found.push(picked)
    if (rule.name.test(picked.name) && !isHidden(picked.name)) matching += 1
  }
  for (const entry of entries) if (entry) await collect(entry, take, () => matching > rule.most)
  return chooseFromFolder(found, rule)
}

async function collect(
  entry: FileSystemEntry,
  take: (picked: PickedFile) => void,
  enough: () => boolean,
): Promise<void> {
  if (enough()) return
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    )
    take({ name: entry.fullPath.replace(/^\//, ''), file })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  // Browsers hand out a hundred entries at a time, and an empty list at the end.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (batch.length === 0) return
    for (const child of batch) await collect(child, take, enough)
  }
}
