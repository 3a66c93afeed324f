/**
 * An accepted update as a merge reads it: from its file, a tensor at a time, so that a merge of a thousand updates
 * holds none of them. Synchronous, for the job thread.
 */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { AdapterShape } from '../../models/adapters/adapter.ts'
import { openUpdate } from '../../models/adapters/update-codec.ts'
import type { Contribution } from '../aggregation/index.ts'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'

export interface StoredUpdate {
  readonly digest: Digest
  readonly path: string
}

const HASHED_AT_ONCE_BYTES = 256 * 1024

/**
 * Hashes the file and checks the update's header; its numbers are read when the merge asks for them. Throws
 * ProtocolError `store/damaged` where these are not the bytes that were accepted.
 */
export function openStoredUpdate(
  { digest, path }: StoredUpdate,
  expected: { readonly shape: AdapterShape; readonly manifestDigest: string },
): Contribution {
  const bytes = withFile(path, (file) => {
    const hash = createHash('sha256')
    const { size } = fstatSync(file)
    const buffer = new Uint8Array(Math.min(size, HASHED_AT_ONCE_BYTES))
    for (let at = 0; at < size; at += buffer.length) {
      const part = buffer.subarray(0, Math.min(buffer.length, size - at))
      readFully(file, at, part)
      hash.update(part)
    }
    if (hash.digest('hex') !== digest) throw new ProtocolError('store/damaged')
    return size
  })
  const update = openUpdate(
    {
      bytes,
      read: (offset, length) =>
        withFile(path, (file) => {
          const part = new Uint8Array(length)
          readFully(file, offset, part)
          return part
        }),
    },
    expected,
  )
  return { digest, examples: update.examples, change: update }
}

/** Opened for each read: a merge of a thousand updates would take a thousand of the files a process may have open. */
function withFile<Result>(path: string, use: (file: number) => Result): Result {
  const file = openSync(path, 'r')
  try {
    return use(file)
  } finally {
    closeSync(file)
  }
}

function readFully(file: number, offset: number, into: Uint8Array): void {
  let done = 0
  while (done < into.length) {
    const read = readSync(file, into, done, into.length - done, offset + done)
    if (read === 0) throw new ProtocolError('store/damaged')
    done += read
  }
}
