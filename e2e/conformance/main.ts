/**
 * `npm run -s conformance -- URL [--room NAME] [--host-token T] [--json]`: does the relay at this address do what
 * docs/protocol.md says? Sends two tiny updates to the room and takes one of them back: use a room made for it. With the
 * host's token it also opens rooms like that one, of rounds, sequential, private and with a gate.
 */
import { parseArgs } from 'node:util'
import { runConformance } from './checks.ts'
import { runRoomKinds } from './room-kinds.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    room: { type: 'string' },
    'host-token': { type: 'string' },
  },
})
const [url] = positionals
if (url === undefined || !URL.canParse(url)) {
  process.stderr.write('Usage: npm run -s conformance -- URL [--room NAME] [--host-token T] [--json]\n')
  process.exit(2)
}
const token = values['host-token']
const checks = [
  ...(await runConformance(url, values.room)),
  ...(token === undefined ? [] : await runRoomKinds(url, token, values.room)),
]
const failed = checks.filter(({ ok }) => !ok).length
if (values.json)
  process.stdout.write(`${JSON.stringify({ url, passed: checks.length - failed, failed, checks })}\n`)
else {
  for (const { name, ok, found } of checks)
    process.stdout.write(`${ok ? 'ok  ' : 'FAIL'} ${name}${ok ? '' : `: ${found}`}\n`)
  process.stdout.write(`${checks.length - failed} passed, ${failed} failed\n`)
}
process.exit(failed > 0 ? 1 : 0)
