/**
 * One line on stderr that says what is done, how far it is, how fast and how long it will take. On a terminal
 * it is redrawn in place; elsewhere (a log file) a line is written now and then.
 */
import { bytes, duration, rate } from './format.ts'

interface Stream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

const REDRAW_MS = 100
const LOG_LINE_MS = 15_000
const BAR_CHARACTERS = 20

export class Progress {
  readonly #stream: Stream
  readonly #label: string
  readonly #total: number
  readonly #unit: string
  readonly #now: () => number
  readonly #started: number
  #lastLine: number
  #finished = false

  constructor(stream: Stream, label: string, total: number, unit: string, now = () => performance.now()) {
    this.#stream = stream
    this.#label = label
    this.#total = total
    this.#unit = unit
    this.#now = now
    this.#started = now()
    // A terminal shows something at once; a log only what takes long.
    this.#lastLine = stream.isTTY ? Number.NEGATIVE_INFINITY : this.#started
  }

  /** `detail` is short and changes: `loss 3.21`. `secondsLeft` where the caller knows better. */
  update(done: number, detail = '', secondsLeft?: number): void {
    const now = this.#now()
    if (this.#finished || now - this.#lastLine < (this.#stream.isTTY ? REDRAW_MS : LOG_LINE_MS)) return
    this.#lastLine = now
    this.#write(this.#line(done, detail, secondsLeft))
  }

  /** Ends the line. Safe to call twice. */
  finish(detail = ''): void {
    if (this.#finished) return
    this.#finished = true
    const seconds = (this.#now() - this.#started) / 1000
    const text = `${this.#label}: done in ${duration(seconds)}${detail && `, ${detail}`}`
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[K${text}\n`)
    else this.#stream.write(`${text}\n`)
  }

  /** Takes the line away, for an error to follow. */
  abort(): void {
    if (this.#finished) return
    this.#finished = true
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K')
  }

  #line(done: number, detail: string, secondsLeft?: number): string {
    const share = this.#total > 0 ? Math.min(1, done / this.#total) : 1
    const seconds = (this.#now() - this.#started) / 1000
    const perSecond = seconds > 0 ? done / seconds : 0
    const left = secondsLeft ?? (perSecond > 0 ? (this.#total - done) / perSecond : undefined)
    const filled = Math.round(share * BAR_CHARACTERS)
    const bar = this.#stream.isTTY ? `${'█'.repeat(filled)}${'░'.repeat(BAR_CHARACTERS - filled)} ` : ''
    const amount =
      this.#unit === 'bytes'
        ? `${bytes(done)} of ${bytes(this.#total)}`
        : `${done} of ${this.#total} ${this.#unit}`
    return [
      `${this.#label}: ${bar}${Math.floor(share * 100)} %, ${amount}`,
      perSecond > 0 ? rate(perSecond, this.#unit) : '',
      left === undefined || done >= this.#total ? '' : `${duration(left)} left`,
      detail,
    ]
      .filter(Boolean)
      .join(', ')
  }

  #write(line: string): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(`${line}\n`)
      return
    }
    // A wrapped line could not be taken back.
    const columns = this.#stream.columns ?? 80
    this.#stream.write(`\r\x1b[K${[...line].slice(0, Math.max(1, columns - 1)).join('')}`)
  }
}
