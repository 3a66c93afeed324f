/**
 * A bench's parts one after another, with how far it is and how long the rest will take. A part that fails becomes a
 * fault of the report, and the others still run.
 */
import { duration } from '../relay/cli/format.ts'
import type { Log } from './run-bench.ts'

export interface Part {
  readonly name: string
  /** About how long it takes on two cores without a GPU: only the parts' proportions matter. */
  readonly seconds: number
  run(): Promise<void>
}

/** A section of the report and what has to run for it. */
export interface Section {
  readonly parts: readonly Part[]
  /** What has been found once the parts have run. */
  report(): unknown
}

export interface PartTime {
  readonly section: string
  readonly part: string
  readonly seconds: number
}

export interface AgendaResult {
  readonly reports: Readonly<Record<string, unknown>>
  readonly times: readonly PartTime[]
}

export async function runAgenda(
  sections: Readonly<Record<string, Section>>,
  { log, faults, now = () => performance.now() }: { log: Log; faults: string[]; now?: () => number },
): Promise<AgendaResult> {
  const parts = Object.entries(sections).flatMap(([section, { parts }]) =>
    parts.map((part) => ({ section, ...part, run: () => part.run() })),
  )
  const times: PartTime[] = []
  let expectedLeft = parts.reduce((sum, { seconds }) => sum + seconds, 0)
  let [expectedDone, taken] = [0, 0]
  for (const [index, { section, name, seconds, run }] of parts.entries()) {
    const left = expectedDone > 0 ? (expectedLeft * taken) / expectedDone : expectedLeft
    log(`[${index + 1} of ${parts.length}, about ${duration(left)} left] ${section}: ${name}`)
    const begun = now()
    try {
      await run()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      faults.push(`${section}, ${name}: ${reason}`)
      log(error instanceof Error && error.stack ? error.stack : reason)
    }
    const took = (now() - begun) / 1000
    times.push({ section, part: name, seconds: took })
    taken += took
    expectedDone += seconds
    expectedLeft -= seconds
  }
  const reports = Object.fromEntries(
    Object.entries(sections).map(([section, { report }]) => [section, report()]),
  )
  return { reports, times }
}
