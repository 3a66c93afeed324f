/** A file read in pieces, wherever it lies: on a disk, in a browser's storage, behind a URL. */
import { FormatError } from '../errors.ts'

export interface ByteSource {
  /** Of the whole file. */
  readonly bytes: number
  /** `length` bytes from `offset`, all inside the file. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** A file in memory; what is read of it are views. */
export const wholeFile = (file: Uint8Array): ByteSource => ({
  bytes: file.length,
  read: async (offset, length) => file.subarray(offset, offset + length),
})

/** A file that a person picked in a browser, or one in its storage. Throws FormatError `file/changed` from `read`. */
export const blobSource = (blob: Blob): ByteSource => ({
  bytes: blob.size,
  async read(offset, length) {
    try {
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer())
    } catch (error) {
      // Browsers refuse to read a picked file once it was written, moved or deleted.
      throw new FormatError(
        'file/changed',
        'The file can no longer be read; it was changed or moved, so pick it again.',
        { cause: error },
      )
    }
  },
})

/**
 * @throws FormatError `file/changed` when fewer bytes come back than the file had when it was opened.
 */
export async function readExactly(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const piece = await source.read(offset, length)
  if (piece.length === length) return piece
  throw new FormatError(
    'file/changed',
    `The file gave ${piece.length} of the ${length} bytes from byte ${offset}; it changed while it was read, so open it again.`,
  )
}
