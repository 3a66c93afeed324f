/**
 * Generated tokens as text that is certain: nothing of a character whose bytes are not all there, nothing of what may
 * still become a stop string. Tokens wait for their text.
 */
import type { Tokenizer } from './tokenizer.ts'

export interface TokenText {
  readonly id: number
  /** Text that became certain with this token and those waiting before it; may be empty. */
  readonly text: string
  readonly margin: number
}

export class TextStream {
  /** True once a stop string has come: nothing after it counts. */
  stopped = false
  private readonly tokenizer: Tokenizer
  private readonly stop: readonly string[]
  private readonly ids: number[] = []
  private readonly waiting: { id: number; margin: number }[] = []
  /** Characters of the text handed out. */
  private given = 0

  constructor(tokenizer: Tokenizer, stop: readonly string[]) {
    this.tokenizer = tokenizer
    this.stop = stop.filter((text) => text !== '')
  }

  /** Tokens whose text is certain now, in order; the first of them carries it. */
  push(id: number, margin: number): TokenText[] {
    this.ids.push(id)
    this.waiting.push({ id, margin })
    const text = this.text()
    const found = this.stop.map((stop) => text.indexOf(stop)).filter((at) => at >= 0)
    if (found.length > 0) {
      this.stopped = true
      return this.release(text.slice(0, Math.min(...found)), this.waiting.length)
    }
    const uncertain = this.uncertain(text)
    // The last token waits with what is uncertain of it, so that some token is left to carry that.
    return uncertain === 0
      ? this.release(text, this.waiting.length)
      : this.release(text.slice(0, text.length - uncertain), this.waiting.length - 1)
  }

  /** What still waits when generation ends otherwise than by a stop string. */
  end(): TokenText[] {
    return this.release(this.text(), this.waiting.length)
  }

  private text(): string {
    return this.tokenizer.decode(this.ids, { skipSpecial: true })
  }

  /** Length of the end of the text that may still change or be taken back. */
  private uncertain(text: string): number {
    const broken = /\uFFFD*$/.exec(text)![0].length
    // What is broken may become anything: a stop string may go on there.
    const whole = text.slice(0, text.length - broken)
    let begun = 0
    for (const stop of this.stop) {
      for (let length = Math.min(stop.length - 1, whole.length); length > begun; length--) {
        if (whole.endsWith(stop.slice(0, length))) begun = length
      }
    }
    return begun + broken
  }

  private release(text: string, tokens: number): TokenText[] {
    if (tokens === 0) return []
    const fresh = text.slice(this.given)
    this.given = Math.max(this.given, text.length)
    return this.waiting.splice(0, tokens).map((token, i) => ({ ...token, text: i === 0 ? fresh : '' }))
  }
}
