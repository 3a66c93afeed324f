/**
 * A file behind an address, as a source of pieces: HTTP range requests (RFC 9110, section 14) where the server gives
 * them, else one answer read from its start to its end. What a server says is checked before it is used: the range
 * it sends, the file's length, and that the file is still the one that was opened (ETag, else Last-Modified).
 * Connections that break or stall are taken up again.
 */
import { DownloadError, FormatError } from '../errors.ts'
import type { ByteSource } from './byte-source.ts'

export interface HttpOptions {
  readonly fetch?: typeof fetch
  readonly signal?: AbortSignal | undefined
  /** Between two attempts; default half a second, doubling. */
  readonly retryDelayMs?: number
  /** Without a byte for so long, a connection counts as broken. */
  readonly stallMs?: number
}

/** Asked for when opening: most headers are read with it. */
const FIRST_PIECE_BYTES = 65_536
const ATTEMPTS = 5
const RETRY_DELAY_MS = 500
const STALL_MS = 30_000
/** A piece's buffer starts no larger: a server may claim what it likes. */
const FIRST_BUFFER_BYTES = 16_000_000
/** How often the one answer of a server without ranges is asked for again because an earlier part is wanted. */
const MAX_REWINDS = 8

const TRY_LATER: readonly number[] = [408, 425, 429, 500, 502, 503, 504]

/** An attempt that may succeed when made again. */
class BrokenAnswer extends Error {}

interface Answer {
  /** Where its bytes begin in the file. */
  readonly offset: number
  readonly ranges: boolean
  /** Of the whole file; null where the server does not say. */
  readonly fileBytes: number | null
  readonly validator: string | null
  readonly body: ReadableStreamDefaultReader<Uint8Array> | null
}

export class HttpFile implements ByteSource {
  readonly url: string
  /** Whether parts of the file can be had. */
  readonly ranges: boolean
  /** What names this version of the file; null where the server names none. */
  readonly validator: string | null
  readonly #bytes: number | null
  readonly #options: HttpOptions
  readonly #firstPiece: Uint8Array
  /** Of a server without ranges: the answer under way, and how far it has been read. */
  #whole: { readonly body: Answer['body']; position: number } | null
  #rewinds = 0

  private constructor(url: string, options: HttpOptions, answer: Answer, firstPiece: Uint8Array) {
    this.url = url
    this.#options = options
    this.ranges = answer.ranges
    this.validator = answer.validator
    this.#bytes = answer.fileBytes
    this.#firstPiece = firstPiece
    this.#whole = answer.ranges ? null : { body: answer.body, position: firstPiece.length }
  }

  /** @throws DownloadError `download/…` */
  static async open(url: string, options: HttpOptions = {}): Promise<HttpFile> {
    return attempting(url, options, async () => {
      const answer = await request(url, options, 0, FIRST_PIECE_BYTES - 1)
      const wanted = Math.min(FIRST_PIECE_BYTES, answer.fileBytes ?? FIRST_PIECE_BYTES)
      const piece = await take(answer.body, wanted, options, answer.fileBytes === null)
      if (answer.ranges) await answer.body?.cancel().catch(() => {})
      return new HttpFile(url, options, answer, piece)
    })
  }

  /** @throws DownloadError `download/no-length` */
  get bytes(): number {
    if (this.#bytes !== null) return this.#bytes
    throw new DownloadError(
      'download/no-length',
      `${this.url} does not say how long the file is, so parts of it cannot be read; download it, and name the file.`,
    )
  }

  get knownBytes(): number | null {
    return this.#bytes
  }

  /** @throws DownloadError `download/…`; FormatError `file/changed` */
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset + length > this.bytes) throw new RangeError(`bytes ${offset} + ${length} of ${this.bytes}`)
    if (offset + length <= this.#firstPiece.length) return this.#firstPiece.slice(offset, offset + length)
    if (!this.ranges) return this.#readForward(offset, length)
    return attempting(this.url, this.#options, async () => {
      const { body } = await this.#ask(offset, offset + length - 1)
      try {
        return await take(body, length, this.#options)
      } finally {
        await body?.cancel().catch(() => {})
      }
    })
  }

  /** The file's bytes from `offset` to its end. One attempt: throws where the connection breaks; `isBroken` tells. */
  async *stream(offset: number): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#bytes !== null && offset >= this.#bytes) return
    let position: number
    let body: Answer['body']
    if (offset === 0 && this.#whole?.position === this.#firstPiece.length) {
      // The answer that opened the file goes on.
      yield this.#firstPiece
      position = this.#firstPiece.length
      body = this.#whole.body
      this.#whole = null
    } else {
      const answer = await this.#ask(offset, null)
      position = answer.offset
      body = answer.body
    }
    for (;;) {
      const chunk = await next(body, this.#options)
      if (!chunk) break
      const skip = Math.max(0, offset - position)
      position += chunk.length
      if (this.#bytes !== null && position > this.#bytes) throw tooLong(this.url, this.#bytes)
      if (skip < chunk.length) yield chunk.subarray(skip)
    }
    if (this.#bytes !== null && position < this.#bytes) throw new BrokenAnswer('the connection ended early')
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    const { body } = this.#whole ?? {}
    this.#whole = null
    await body?.cancel().catch(() => {})
  }

  async #ask(first: number, last: number | null): Promise<Answer> {
    const answer = await request(this.url, this.#options, this.ranges ? first : 0, last)
    const changed =
      answer.validator !== this.validator || answer.fileBytes !== this.#bytes || answer.ranges !== this.ranges
    if (!changed) return answer
    await answer.body?.cancel().catch(() => {})
    throw new FormatError(
      'file/changed',
      `${this.url} is another file than when it was opened; open it again.`,
    )
  }

  async #readForward(offset: number, length: number): Promise<Uint8Array> {
    return attempting(this.url, this.#options, async () => {
      if (!this.#whole || this.#whole.position > offset) {
        await this.close()
        if (++this.#rewinds > MAX_REWINDS) {
          throw new DownloadError(
            'download/no-ranges',
            `${this.url} comes from a server that gives no parts of files; download it, and name the file.`,
          )
        }
        this.#whole = { body: (await this.#ask(0, null)).body, position: 0 }
      }
      const whole = this.#whole
      try {
        for (let skip = offset - whole.position; skip > 0; ) {
          const skipped = await take(whole.body, Math.min(skip, FIRST_PIECE_BYTES), this.#options)
          skip -= skipped.length
          whole.position += skipped.length
        }
        const piece = await take(whole.body, length, this.#options)
        whole.position += length
        return piece
      } catch (error) {
        await this.close()
        throw error
      }
    })
  }
}

/** Whether an attempt may be made again. */
export const isBroken = (error: unknown): boolean => error instanceof BrokenAnswer

/** Waits before the next attempt, longer each time; throws what stands between once there were enough. */
export async function retryLater(
  url: string,
  attempt: number,
  error: unknown,
  { signal, retryDelayMs = RETRY_DELAY_MS }: HttpOptions,
): Promise<void> {
  signal?.throwIfAborted()
  if (!isBroken(error)) throw error
  if (attempt >= ATTEMPTS) {
    throw new DownloadError(
      'download/broken',
      `${url} could not be read in ${ATTEMPTS} attempts (${(error as Error).message}); check the connection and try again.`,
      { cause: error },
    )
  }
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, retryDelayMs * 2 ** (attempt - 1))
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
  signal?.throwIfAborted()
}

async function attempting<T>(url: string, options: HttpOptions, act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act()
    } catch (error) {
      await retryLater(url, attempt, error, options)
    }
  }
}

const badAnswer = (url: string, what: string) =>
  new DownloadError('download/bad-answer', `${url} answered with ${what}; try another source.`)

const tooLong = (url: string, bytes: number) =>
  badAnswer(url, `more than the ${bytes} bytes that it had announced`)

/** Asks for bytes `first` to `last` of the file; the server may send all of it instead. */
async function request(
  url: string,
  options: HttpOptions,
  first: number,
  last: number | null,
): Promise<Answer> {
  const { signal } = options
  const headers = { Range: `bytes=${first}-${last ?? ''}` }
  let response: Response
  try {
    response = await (options.fetch ?? fetch)(url, { headers, signal: signal ?? null })
  } catch (error) {
    signal?.throwIfAborted()
    const { cause } = error as Error
    throw new BrokenAnswer(cause instanceof Error ? cause.message : (error as Error).message)
  }
  const body = (response.body?.getReader() ?? null) as Answer['body']
  try {
    return { ...readAnswer(url, response, first, last), body }
  } catch (error) {
    await body?.cancel().catch(() => {})
    throw error
  }
}

function readAnswer(
  url: string,
  { status, headers }: Response,
  first: number,
  last: number | null,
): Omit<Answer, 'body'> {
  const validator = headers.get('etag') ?? headers.get('last-modified')
  const encoded = (headers.get('content-encoding') ?? 'identity') !== 'identity'
  const range = headers.get('content-range')
  if (status === 206) {
    if (encoded) throw badAnswer(url, 'a part of a compressed file')
    const [from, to, fileBytes] = parseContentRange(range) ?? []
    if (from === undefined || to === undefined || fileBytes === undefined) {
      throw badAnswer(url, `a part of the file and the Content-Range ${JSON.stringify(range)}`)
    }
    const wanted = Math.min(last ?? fileBytes - 1, fileBytes - 1)
    if (from !== first || to !== wanted) {
      throw badAnswer(url, `bytes ${from} to ${to} where ${first} to ${wanted} were asked for`)
    }
    return { offset: first, ranges: true, fileBytes, validator }
  }
  if (status === 200) {
    const length = /^\d{1,15}$/.exec(headers.get('content-length') ?? '')
    return { offset: 0, ranges: false, fileBytes: length && !encoded ? Number(length[0]) : null, validator }
  }
  // An empty file has no bytes from 0 on.
  if (status === 416 && first === 0 && range === 'bytes */0') {
    return { offset: 0, ranges: true, fileBytes: 0, validator }
  }
  if (TRY_LATER.includes(status)) throw new BrokenAnswer(`status ${status}`)
  const reason: readonly [string, string] =
    status === 404 || status === 410
      ? ['download/missing', 'there is nothing at this address; check it']
      : status === 401 || status === 403
        ? ['download/denied', 'it is not open to everyone; download the file with your account, and name it']
        : ['download/bad-answer', 'check the address']
  throw new DownloadError(reason[0], `${url} answered with status ${status}: ${reason[1]}.`)
}

/** First and last byte, and bytes of the file; undefined where any of them is not said. */
function parseContentRange(header: string | null): [number, number, number] | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header ?? '')
  if (!match) return undefined
  const [from, to, bytes] = match.slice(1).map(Number)
  return from <= to && to < bytes ? [from, to, bytes] : undefined
}

/** What does not fit into the piece before is kept with its reader. */
const leftover = new WeakMap<ReadableStreamDefaultReader<Uint8Array>, Uint8Array>()

async function next(body: Answer['body'], options: HttpOptions): Promise<Uint8Array | undefined> {
  if (!body) return undefined
  const kept = leftover.get(body)
  if (kept) {
    leftover.delete(body)
    return kept
  }
  const { stallMs = STALL_MS, signal } = options
  let timer: ReturnType<typeof setTimeout> | undefined
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BrokenAnswer('nothing came for a while')), stallMs)
  })
  try {
    const { done, value } = await Promise.race([body.read(), stalled])
    return done ? undefined : value
  } catch (error) {
    signal?.throwIfAborted()
    body.cancel().catch(() => {})
    throw error instanceof BrokenAnswer ? error : new BrokenAnswer((error as Error).message)
  } finally {
    clearTimeout(timer)
  }
}

/** `length` bytes of the answer, or fewer where it may end early. */
async function take(
  body: Answer['body'],
  length: number,
  options: HttpOptions,
  mayEnd = false,
): Promise<Uint8Array> {
  let piece = new Uint8Array(Math.min(length, FIRST_BUFFER_BYTES))
  let filled = 0
  while (filled < length) {
    const chunk = await next(body, options)
    if (!chunk) {
      if (mayEnd) return piece.subarray(0, filled)
      throw new BrokenAnswer('the connection ended early')
    }
    const used = Math.min(chunk.length, length - filled)
    if (filled + used > piece.length) {
      const larger = new Uint8Array(Math.min(length, Math.max(2 * piece.length, filled + used)))
      larger.set(piece.subarray(0, filled))
      piece = larger
    }
    piece.set(chunk.subarray(0, used), filled)
    filled += used
    if (used < chunk.length && body) leftover.set(body, chunk.subarray(used))
  }
  return piece
}

/**
 * A file whose length is known: nothing is asked for before it is first read.
 *
 * @throws (from `read`) DownloadError `download/…`; FormatError `file/changed` where the file has another length
 */
export function httpSource(url: string, bytes: number, options: HttpOptions = {}): ByteSource {
  let opened: Promise<HttpFile> | undefined
  return {
    bytes,
    async read(offset, length) {
      opened ??= HttpFile.open(url, options)
      const file = await opened
      if (file.knownBytes !== null && file.knownBytes !== bytes) {
        throw new FormatError(
          'file/changed',
          `${url} has ${file.knownBytes} bytes where ${bytes} were announced; ask for its address again.`,
        )
      }
      return file.read(offset, length)
    },
  }
}
