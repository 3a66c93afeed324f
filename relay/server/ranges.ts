/** The Range header of RFC 9110, section 14, as far as one file needs it: a single range of bytes. */

export interface ByteRange {
  /** First and last byte, both included. */
  readonly first: number
  readonly last: number
}

/**
 * The range asked for, `null` where the whole file is to be sent (no header, or one that may be ignored: another
 * unit, several ranges, bad syntax), `'unsatisfiable'` where it lies outside the file.
 */
export function parseRange(
  header: string | undefined,
  fileBytes: number,
): ByteRange | null | 'unsatisfiable' {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (!match) return null
  const [, from, to] = match
  if (from === '' && to === '') return null
  if (from === '') {
    // The last so many bytes.
    const suffixBytes = Number(to)
    if (suffixBytes === 0 || fileBytes === 0) return 'unsatisfiable'
    return { first: Math.max(0, fileBytes - suffixBytes), last: fileBytes - 1 }
  }
  const first = Number(from)
  const last = to === '' ? fileBytes - 1 : Math.min(Number(to), fileBytes - 1)
  if (to !== '' && Number(to) < first) return null
  return first >= fileBytes ? 'unsatisfiable' : { first, last }
}
