/**
 * Shows `oneround merge` on the reference fixtures: writes them out as PEFT folders, merges by every strategy with the
 * command line, and compares each result with what numpy got.
 *
 *   node --import tsx scripts/aggregation-fixtures.ts OUT [--case independent|shared|mixed] [--json]
 *
 * OUT/client0 to client4, OUT/frozen0 to frozen4, OUT/merged-RULE; one row a rule, and exit 1 if one is beyond its
 * tolerance (models/fixtures/aggregation/README.md).
 */
import path from 'node:path'
import { parseArgs } from 'node:util'
import { main } from '../relay/cli/main.ts'
import { distanceToFixture, hasFixture, writeFixtureFolders } from '../relay/cli/testing/fixture-folders.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { case: { type: 'string', default: 'shared' }, json: { type: 'boolean', default: false } },
})
const [out] = positionals
if (out === undefined) {
  process.stderr.write('usage: aggregation-fixtures.ts OUT [--case independent|shared|mixed] [--json]\n')
  process.exit(2)
}
const name = values.case
const { clients, frozen, counts } = await writeFixtureFolders(path.resolve(out), name)
const weights = ['--weights', counts.join(',')]

/** By the reference's rule: what to ask `merge` for, and how near it comes. */
const RULES: readonly [rule: string, options: string[], tolerance: number][] = [
  ['exact', ['stack', ...weights], 1e-5],
  ['florist', ['florist', '--tau', '0.9', ...weights], 1e-4],
  ['svd4', ['svd', '--rank', '4', ...weights], 1e-4],
  ['fedit', ['fedit', ...weights], 1e-5],
  ['ffa', ['ffa', ...weights], 1e-5],
  ['task_uniform', ['task', '--lambda', '0.7'], 1e-5],
  ['task_weighted', ['task', '--lambda', '0.7', ...weights], 1e-5],
  ['ties_global', ['ties', '--density', '0.2'], 1e-5],
  ['ties_per_matrix', ['ties', '--density', '0.2', '--scope', 'module'], 1e-5],
  ['exact', ['dare', '--density', '1', '--seed', 's', ...weights], 1e-5],
  ['median', ['median'], 1e-5],
  ['trimmed_mean', ['trimmed-mean', '--trim', '0.2'], 1e-5],
  ['geometric_uniform', ['rfa'], 1e-4],
  ['geometric_weighted', ['rfa', ...weights], 1e-4],
  ['clip_weighted', ['stack', '--clip', 'median', ...weights], 1e-5],
]
const rows: { rule: string; strategy: string; distance: number; tolerance: number; ok: boolean }[] = []
const silent = { write: () => undefined }
for (const [rule, [strategy, ...options], tolerance] of RULES) {
  // Of mixed ranks numpy did fewer, and factors can only be averaged where all have one.
  if (!hasFixture(name, rule) || (rule === 'ffa' && frozen.length === 0)) continue
  const merged = path.join(path.resolve(out), `merged-${rule}-${strategy}`)
  const folders = rule === 'ffa' ? frozen : clients
  let errors = ''
  const status = await main(
    ['merge', '--strategy', strategy!, ...options, '--out', merged, ...folders, '--json'],
    new AbortController().signal,
    silent,
    {
      write(text: string) {
        errors += text
      },
    },
  )
  if (status !== 0) throw new Error(`merge --strategy ${strategy} failed: ${errors}`)
  const distance = await distanceToFixture(merged, name, rule)
  rows.push({ rule, strategy: strategy!, distance, tolerance, ok: distance < tolerance })
}
if (values.json) process.stdout.write(`${JSON.stringify({ case: name, counts, rows })}\n`)
else {
  for (const { rule, strategy, distance, tolerance, ok } of rows) {
    process.stdout.write(
      `${ok ? 'ok  ' : 'FAIL'} ${strategy.padEnd(14)} ${rule.padEnd(20)} ${distance.toExponential(1)} (${tolerance})\n`,
    )
  }
}
process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1
