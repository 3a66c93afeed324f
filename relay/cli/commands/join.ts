/** `join`: takes part in a round without a browser. The data stay here; one update is sent. */
import * as v from 'valibot'
import { joinCode, ProtocolError, roomName } from '../../protocol/index.ts'
import { BACKEND_OPTION } from '../args.ts'
import type { Command } from '../command.ts'
import { CliError, UsageError } from '../errors.ts'
import { writeAdapterFolder } from '../files.ts'
import { bytes, loss, rate } from '../format.ts'
import { DATA_OPTION, dataFiles } from '../local-data.ts'
import { type Contributed, Participant } from '../participant.ts'
import { backendOf } from '../running-model.ts'

export const command: Command = {
  usage: 'URL --data FILE… [OPTIONS]',
  about: `Joins the room at URL, trains on local files and sends one update (in a room of rounds, one in each). The files
stay on this machine.`,
  options: {
    data: DATA_OPTION,
    wait: { type: 'boolean', help: 'wait for the merged version that includes this update, and measure it' },
    out: { type: 'string', value: 'DIR', help: 'with --wait: folder to write the merged adapter to' },
    'hide-examples': {
      type: 'boolean',
      help: 'do not tell how many examples; the update then counts as one',
    },
    ...BACKEND_OPTION,
  },
  async run(args, console, signal) {
    const address = args.positionals.find((text) => /^https?:\/\//.test(text))
    if (address === undefined) throw new UsageError('The URL to join is missing: the host shows it.')
    const { url, room, code } = await parseJoinUrl(address)
    const files = dataFiles(
      args,
      args.positionals.filter((text) => text !== address),
    )
    const out = args.text('out')
    const wait = args.flag('wait')
    if (out !== undefined && !wait) throw new UsageError('--out writes the merged adapter: add --wait.')
    const participant = new Participant({
      url,
      room,
      code,
      files,
      backend: backendOf(args),
      tellExamples: !args.flag('hide-examples'),
      console,
      signal,
    })
    try {
      let contributed = await participant.contribute()
      const rounds = [ofRound(contributed)]
      for (;;) {
        const next = await participant.contributeAgain()
        if (!next) break
        contributed = next
        rounds.push(ofRound(next))
      }
      const { receipt, backend, steps, tokensPerSecond, bytesSent, updateBytes } = contributed
      console.print(
        [
          `Held-out loss: base ${loss(contributed.loss.base)}, own ${loss(contributed.loss.own)} ${contributed.unit}`,
          `Sent: ${bytes(updateBytes)} (${bytes(bytesSent)} in all), ${steps} steps at ${rate(tokensPerSecond, contributed.counted)}`,
          `Receipt: contribution ${receipt.contribution}, ${receipt.digest}\n`,
        ].join('\n'),
      )
      let merged: {
        version: number
        digest: string
        contributions: number
        loss: number
        dir: string | null
      } | null = null
      if (wait) {
        console.note('Waiting for the merged version …')
        const version = await participant.merged(contributed)
        const measured = await participant.measureVersion(version)
        if (out !== undefined)
          await writeAdapterFolder(out, measured.adapter, contributed.manifest.base.id, {
            base: contributed.manifest.base.digest,
          })
        const { version: number, digest, contributions } = version
        merged = { version: number, digest, contributions, loss: measured.loss, dir: out ?? null }
        console.print(
          `Merged version ${number} of ${contributions} contributions: held-out loss ${loss(measured.loss)}${out === undefined ? '' : `, in ${out}`}\n`,
        )
      }
      console.result({
        room,
        backend,
        steps,
        tokensPerSecond,
        counted: contributed.counted,
        unit: contributed.unit,
        bytesSent,
        updateBytes,
        receipt,
        loss: { ...contributed.loss, merged: merged?.loss ?? null },
        rounds,
        merged,
      })
    } catch (error) {
      throw withCertificateHint(error, url)
    } finally {
      await participant.close()
    }
  },
}

/** Of each round taken part in; one where a room has no more. */
const ofRound = ({ receipt, steps, loss: { base, own } }: Contributed) => ({
  round: receipt.round ?? 1,
  contribution: receipt.contribution,
  steps,
  loss: { start: base, own },
})

interface JoinAddress {
  readonly url: string
  readonly room: string
  /** The room's join code, after the `#`. */
  readonly code: string | undefined
}

/** `http://HOST/join/ROOM#CODE`, or the relay's own address if it has a single room. */
async function parseJoinUrl(text: string): Promise<JoinAddress> {
  if (!URL.canParse(text)) throw new UsageError(`${JSON.stringify(text)} is not a URL.`)
  const address = new URL(text)
  const code = decodeURIComponent(address.hash.slice(1)) || undefined
  if (code !== undefined && !v.is(joinCode, code)) {
    throw new UsageError(`${JSON.stringify(code)} is not a join code; take the whole link from the host.`)
  }
  const named = /^\/join\/([^/]+)\/?$/.exec(address.pathname)?.[1]
  if (named !== undefined) {
    if (!v.is(roomName, named)) throw new UsageError(`${JSON.stringify(named)} is not a room's name.`)
    // Asked first over HTTP: the socket would keep trying for minutes to reach what is not there.
    const rooms = await listRooms(address.origin)
    if (!rooms.includes(named)) throw new ProtocolError('room/unknown')
    return { url: address.origin, room: named, code }
  }
  if (address.pathname !== '/') throw new UsageError('The URL to join looks like http://HOST/join/ROOM.')
  const rooms = await listRooms(address.origin)
  if (rooms.length !== 1) {
    throw new CliError(
      'room/unknown',
      `This relay has ${rooms.length} rooms (${rooms.join(', ')}): join one as ${address.origin}/join/ROOM.`,
    )
  }
  return { url: address.origin, room: rooms[0], code }
}

const roomListSchema = v.object({ rooms: v.array(v.object({ room: roomName })) })

async function listRooms(origin: string): Promise<string[]> {
  let answer: unknown
  try {
    answer = await (await fetch(new URL('/api/rooms', origin))).json()
  } catch (error) {
    throw withCertificateHint(new ProtocolError('network/unreachable', undefined, { cause: error }), origin)
  }
  const parsed = v.safeParse(roomListSchema, answer)
  if (!parsed.success)
    throw new CliError('network/download', `There is no relay at ${origin}; check the URL.`)
  return parsed.output.rooms.map(({ room }) => room)
}

/** Node trusts a relay's own certificate only when told before it starts. */
function withCertificateHint(error: unknown, url: string): unknown {
  const unreachable = error instanceof ProtocolError && error.code === 'network/unreachable'
  if (!unreachable || !url.startsWith('https:') || process.env.NODE_EXTRA_CA_CERTS) return error
  return new ProtocolError(
    error.code,
    `${error.message} If the relay made its certificate itself (--https), copy tls/cert.pem from its data folder and set NODE_EXTRA_CA_CERTS to that file.`,
    { cause: error },
  )
}
