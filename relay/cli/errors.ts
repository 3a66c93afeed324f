/**
 * How commands fail. Anything with a stable code is expected and shown as its one sentence; the rest is a
 * defect and shows its stack.
 */
export class CliError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The command line itself is wrong: exit 2. */
export class UsageError extends CliError {
  constructor(message: string) {
    super('usage', message)
  }
}

/** Errors of every layer carry codes like `data/empty`; the system's own (`ENOENT`) look different. */
export function isExpected(error: unknown): error is Error & { readonly code: string } {
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && /^(usage|[a-z]+\/[a-z0-9-]+)$/.test(code)
}

const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is nothing of that name; check the path',
  EACCES: 'access is denied; check its permissions',
  EPERM: 'access is denied; check its permissions',
  EISDIR: 'it is a folder; name a file',
  ENOTDIR: 'a part of the path is not a folder; check the path',
  ENOSPC: 'the disk is full; make room and try again',
  EROFS: 'the disk cannot be written to; choose another folder',
}

/** A file system's error as a sentence: `Cannot read notes.txt: there is nothing of that name; …`. */
export function fileError(action: string, path: string, error: unknown): Error {
  const code = (error as { code?: unknown })?.code
  const reason = typeof code === 'string' ? SYSTEM_REASONS[code] : undefined
  if (!reason) return error instanceof Error ? error : new Error(String(error))
  const kind = code === 'ENOENT' ? 'file/missing' : 'file/denied'
  return new CliError(kind, `Cannot ${action} ${path}: ${reason}.`, { cause: error })
}
