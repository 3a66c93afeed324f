/** What main.ts knows of a command. One file a command; it loads only what it needs. */
import type { Arguments, OptionSpecs } from './args.ts'
import type { Console } from './console.ts'

export interface Command {
  /** After the command's name, e.g. `URL --data FILE…`. */
  readonly usage: string
  /** A sentence or two: what it does. */
  readonly about: string
  readonly options: OptionSpecs
  /** Throws; the result goes to `console.result`. `signal` aborts when the person presses Ctrl-C. */
  run(args: Arguments, console: Console, signal: AbortSignal): Promise<void>
}
