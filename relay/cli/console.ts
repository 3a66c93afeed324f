/**
 * What a command may say, and where: its result on stdout (under --json exactly one object and nothing else),
 * everything else on stderr.
 */
import { Progress } from './progress.ts'

export interface TextStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export class Console {
  readonly json: boolean
  readonly #stdout: TextStream
  readonly #stderr: TextStream
  #results = 0

  constructor(json: boolean, stdout: TextStream = process.stdout, stderr: TextStream = process.stderr) {
    this.json = json
    this.#stdout = stdout
    this.#stderr = stderr
  }

  /** Part of the result for people: stdout, nothing under --json. */
  print(text: string): void {
    if (!this.json) this.#stdout.write(text)
  }

  /** The result for programs. Once a command. */
  result(value: object): void {
    if (!this.json) return
    this.#results++
    if (this.#results > 1) throw new Error('a command prints one result')
    this.#stdout.write(`${JSON.stringify(value)}\n`)
  }

  get hasResult(): boolean {
    return this.#results > 0
  }

  /** What is going on: stderr. */
  note(text: string): void {
    this.#stderr.write(`${text}\n`)
  }

  /** `unit` is what is counted, in the plural: `tokens`, `steps`, `bytes`. */
  progress(label: string, total: number, unit: string): Progress {
    return new Progress(this.#stderr, label, total, unit)
  }
}
