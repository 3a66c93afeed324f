/** A room's join code, as `host --join-code` sets it: one of one's own, a new one, or none. */
import { randomBytes } from 'node:crypto'
import * as v from 'valibot'
import { joinCode as joinCodeSchema } from '../protocol/index.ts'
import type { Relay } from '../server/server.ts'
import type { Arguments } from './args.ts'
import { UsageError } from './errors.ts'

/** Letters and digits that cannot be taken for one another; 40 bits, as attempts are few a minute. */
const CODE_LETTERS = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ'

function newJoinCode(): string {
  const letters = [...randomBytes(8)].map((byte) => CODE_LETTERS[byte % CODE_LETTERS.length]).join('')
  return `${letters.slice(0, 4)}-${letters.slice(4)}`
}

/** Without the option a room keeps the code it has. */
export function setJoinCode(relay: Relay, room: string, args: Arguments): void {
  const wanted = args.text('join-code')
  if (wanted === undefined) return
  if (wanted === 'none') {
    relay.setJoinCode(room, null)
    return
  }
  const code = wanted === 'new' ? newJoinCode() : wanted
  if (!v.is(joinCodeSchema, code)) {
    throw new UsageError(
      `--join-code takes 4 to 32 letters, digits and inner hyphens, \`new\` or \`none\`, not ${JSON.stringify(code)}.`,
    )
  }
  relay.setJoinCode(room, code)
}
