/**
 * `npm run -s conformance -- URL [--room NAME] [--json]`: does the relay at this address do what docs/protocol.md says?
 * Sends two tiny updates to the room and takes one of them back: use a room made for it.
 */
import { parseArgs } from 'node:util'
import { runConformance } from './checks.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, room: { type: 'string' } },
})
const [url] = positionals
if (url === undefined || !URL.canParse(url)) {
  process.stderr.write('Usage: npm run -s conformance -- URL [--room NAME] [--json]\n')
  process.exit(2)
}
const checks = await runConformance(url, values.room)
const failed = checks.filter(({ ok }) => !ok).length
if (values.json)
  process.stdout.write(`${JSON.stringify({ url, passed: checks.length - failed, failed, checks })}\n`)
else {
  for (const { name, ok, found } of checks)
    process.stdout.write(`${ok ? 'ok  ' : 'FAIL'} ${name}${ok ? '' : `: ${found}`}\n`)
  process.stdout.write(`${checks.length - failed} passed, ${failed} failed\n`)
}
process.exit(failed > 0 ? 1 : 0)
