/** Turns anything thrown into one sentence for the person. Our own errors bring theirs along. */
import { problems } from '../strings/problems.ts'
import type { Problem } from './machine.ts'

export class PageError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PageError'
    this.code = code
  }
}

export function toProblem(error: unknown): Problem {
  if (error instanceof Error) {
    const code = (error as { code?: unknown }).code
    if (typeof code === 'string' && code.includes('/')) return { code, message: error.message }
    return { code: 'page/unexpected', message: problems.unknown(error.message) }
  }
  return { code: 'page/unexpected', message: problems.unknown(String(error)) }
}
