/**
 * The command `oneround`: finds the command, parses its options, runs it, and turns what it throws into one
 * sentence (or one JSON object) and an exit status: 0, 1 (failed), 2 (wrong usage), 130 (Ctrl-C).
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Arguments, COMMON_OPTIONS, describeOptions } from './args.ts'
import type { Command } from './command.ts'
import { Console, type TextStream } from './console.ts'
import { CliError, isExpected, UsageError } from './errors.ts'

/** Loaded one at a time: `host`, `merge` and `inspect` must not wait for the libraries that run models. */
const COMMANDS: Readonly<Record<string, { about: string; load: () => Promise<{ command: Command }> }>> = {
  host: { about: 'serve the page and a room to join', load: () => import('./commands/host.ts') },
  join: { about: 'take part in a round without a browser', load: () => import('./commands/join.ts') },
  train: { about: 'train an adapter on this machine alone', load: () => import('./commands/train.ts') },
  eval: { about: 'measure a model, with or without an adapter', load: () => import('./commands/eval.ts') },
  generate: { about: 'continue a prompt', load: () => import('./commands/generate.ts') },
  merge: { about: 'merge adapters into one', load: () => import('./commands/merge.ts') },
  export: {
    about: 'write an adapter, or the model with it, for other programs',
    load: () => import('./commands/export.ts'),
  },
  verify: { about: "check a room's log, updates and versions", load: () => import('./commands/verify.ts') },
  'host-key': {
    about: "make a new key for the host's console",
    load: () => import('./commands/host-key.ts'),
  },
  'delete-room': {
    about: 'delete a room with all that is in it',
    load: () => import('./commands/delete-room.ts'),
  },
  backup: { about: "copy a relay's data folder while it runs", load: () => import('./commands/backup.ts') },
  restore: { about: 'make a data folder from such a copy', load: () => import('./commands/restore.ts') },
  inspect: { about: 'say what a model file holds', load: () => import('./commands/inspect.ts') },
}

const PROGRAM = 'oneround'

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length))
  const lines = Object.entries(COMMANDS).map(([name, { about }]) => `  ${name.padEnd(width)}  ${about}`)
  return `Usage: ${PROGRAM} COMMAND [OPTIONS]\n\n${lines.join('\n')}\n\n\`${PROGRAM} COMMAND --help\` says more.\n`
}

function commandHelp(name: string, { usage, about, options }: Command): string {
  const described = describeOptions({ ...options, ...COMMON_OPTIONS })
  return `Usage: ${PROGRAM} ${name} ${usage}\n\n${about}\n\n${described}\n`
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).version
}

/** Returns the exit status. `signal` aborts on Ctrl-C. */
export async function main(
  argv: readonly string[],
  signal: AbortSignal,
  stdout: TextStream = process.stdout,
  stderr: TextStream = process.stderr,
): Promise<number> {
  // `--json` may stand before the command too.
  const first = argv.findIndex((text) => text !== '--json')
  const name = first < 0 ? undefined : argv[first]
  const rest = argv.toSpliced(first, 1)
  // Before parsing, since a wrong command line is reported as JSON too.
  const console = new Console(argv.includes('--json'), stdout, stderr)
  try {
    if (name === undefined) throw new UsageError(`A command is missing: ${Object.keys(COMMANDS).join(', ')}.`)
    if (name === '--help' || name === '-h' || name === 'help') {
      stdout.write(help())
      return 0
    }
    if (name === '--version') {
      stdout.write(`${version()}\n`)
      return 0
    }
    if (!Object.hasOwn(COMMANDS, name)) {
      throw new UsageError(
        `There is no command ${JSON.stringify(name)}; there are ${Object.keys(COMMANDS).join(', ')}.`,
      )
    }
    const { command } = await COMMANDS[name].load()
    const args = new Arguments(rest, { ...command.options, ...COMMON_OPTIONS })
    if (args.flag('help')) {
      stdout.write(commandHelp(name, command))
      return 0
    }
    await command.run(args, console, signal)
    return 0
  } catch (error) {
    return report(error, signal, console, name)
  }
}

function report(error: unknown, signal: AbortSignal, console: Console, name: string | undefined): number {
  const stopped = signal.aborted && isStop(error, signal)
  const shown = stopped ? new CliError('stopped', 'Stopped.') : error
  const known = stopped || isExpected(shown)
  const code = known ? (shown as CliError).code : 'internal'
  const message = shown instanceof Error ? shown.message : String(shown)
  if (!console.hasResult) console.result({ error: { code, message } })
  console.note(`${PROGRAM}: ${message}`)
  if (!known && shown instanceof Error && shown.stack) console.note(shown.stack)
  if (shown instanceof UsageError) {
    console.note(
      `\`${PROGRAM} ${name !== undefined && Object.hasOwn(COMMANDS, name) ? `${name} ` : ''}--help\` shows how.`,
    )
    return 2
  }
  return stopped ? 130 : 1
}

/** The signal's own reason, fetch's error about it, or the relay client's. */
function isStop(error: unknown, signal: AbortSignal): boolean {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown }
  return error === signal.reason || name === 'AbortError' || code === 'client/aborted'
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const interrupt = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // A second Ctrl-C means now.
      if (interrupt.signal.aborted) process.exit(130)
      interrupt.abort()
    })
  }
  // `oneround … | head` closes the pipe early; that is the reader's choice, not a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(0)
  })
  const status = await main(process.argv.slice(2), interrupt.signal)
  // Backends keep worker threads and devices that would hold the process; what is printed must go out first.
  await new Promise((resolve) => process.stdout.write('', resolve))
  process.exit(status)
}
