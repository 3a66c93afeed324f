/** What the disk refuses, as codes: of the operating system, and of SQLite, which reports the same in its own words. */
import type { ErrorCode } from '../protocol/errors.ts'

const CODES: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^(ENOSPC|EDQUOT|SQLITE_FULL)/, 'store/full'],
  [/^(EROFS|EACCES|EPERM|ENOTDIR|SQLITE_READONLY|SQLITE_CANTOPEN)/, 'store/unwritable'],
]

/** Null for anything else. */
export function diskError(error: unknown): ErrorCode | null {
  const { code } = (error ?? {}) as { code?: unknown }
  if (typeof code !== 'string') return null
  return CODES.find(([pattern]) => pattern.test(code))?.[1] ?? null
}
