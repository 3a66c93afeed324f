/**
 * What the benches have in common as commands: options parsed strictly, progress on stderr, the report on stdout as one
 * JSON object, and the exit status: 0, 1 (something failed, or the report names faults), 2 (wrong usage).
 */
import { loadavg } from 'node:os'
import { Arguments, COMMON_OPTIONS, describeOptions, type OptionSpecs } from '../relay/cli/args.ts'
import { isExpected, UsageError } from '../relay/cli/errors.ts'
import { type Conditions, conditions } from './conditions.ts'

export type Log = (line: string) => void

const log: Log = (line) => process.stderr.write(`${line}\n`)

export interface Bench {
  /** As it is called, e.g. `npm run -s bench --`. */
  readonly command: string
  /** What is measured, in one sentence. */
  readonly what: string
  readonly options: OptionSpecs
  run(options: Arguments, log: Log): Promise<BenchReport>
}

export interface BenchReport {
  /** What makes figures of this run unfit to be believed, a sentence each. */
  readonly faults: readonly string[]
}

/** A bench with its command line: ends the process. */
export async function runBench({ command, what, options, run }: Bench): Promise<void> {
  const argv = process.argv.slice(2)
  const json = argv.includes('--json')
  try {
    const given = new Arguments(argv, { ...options, ...COMMON_OPTIONS })
    given.noPositionals()
    if (given.flag('help')) {
      const help = `${command} [OPTIONS]\n\n${what}\n\n${describeOptions({ ...options, ...COMMON_OPTIONS })}`
      return finish(json ? JSON.stringify({ help }) : help, 0)
    }
    const about: Conditions = conditions()
    const begun = performance.now()
    const found = await run(given, log)
    const seconds = (performance.now() - begun) / 1000
    const report = { ...about, seconds, loadAverageAtEnd: loadavg()[0], ...found }
    for (const fault of found.faults) log(`fault: ${fault}`)
    finish(JSON.stringify(report, null, json ? undefined : 1), found.faults.length > 0 ? 1 : 0)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const expected = isExpected(error)
    log(!expected && error instanceof Error && error.stack ? error.stack : message)
    const code = expected ? error.code : 'bench/failed'
    finish(json ? JSON.stringify({ error: { code, message } }) : '', error instanceof UsageError ? 2 : 1)
  }
}

/** Dawn keeps the process alive, so it is ended once everything is written. */
function finish(output: string, status: number): void {
  process.stdout.write(output === '' ? '' : `${output}\n`, () => process.exit(status))
}
