/** What `host` can be told, and the plan that it makes of it: where the relay is reached and what the room is called. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import * as v from 'valibot'
import { MAX_CONTRIBUTIONS, roomName } from '../protocol/index.ts'
import { DEFAULT_ADDRESS_LIMITS } from '../server/address-limits.ts'
import type { Arguments, OptionSpecs } from './args.ts'
import { MODEL_OPTION } from './base-model.ts'
import { readCertificate, selfSignedCertificate, type Tls } from './certificate.ts'
import { CliError, UsageError } from './errors.ts'
import { MODE_OPTIONS } from './mode-option.ts'
import { lanAddresses } from './network.ts'
import { PRIVATE_OPTIONS } from './private-option.ts'
import { strategyOptions } from './strategy-option.ts'
import { TRAINING_OPTIONS } from './training-options.ts'

const DEFAULT_DATA_DIR = 'oneround-data'
export const DEFAULT_PORT = 8787
/** A full room of rank-64 updates of a 7-billion-parameter model is 164 GB; one of SmolLM2, 3 GB. */
export const DEFAULT_DISK_QUOTA_GB = 100
const DEFAULT_ROOM = 'main'
/** One contribution a version would show each contribution to everyone. */
const DEFAULT_PUBLISH_EVERY = 3

/** `--rank` is here that of the adapters trained. */
export const STRATEGY_NAMES = { rank: 'publish-rank', seed: 'mask-seed' }

export const HOST_OPTIONS: OptionSpecs = {
  model: MODEL_OPTION,
  room: { type: 'string', value: 'NAME', help: `the room's name in the join URL, default ${DEFAULT_ROOM}` },
  title: { type: 'string', value: 'TEXT', help: 'what participants read about the room' },
  port: {
    type: 'string',
    value: 'N',
    help: `0 takes a free one; default ${DEFAULT_PORT}, or a free one if that is taken`,
  },
  lan: { type: 'boolean', help: 'let other machines of the local network join' },
  https: {
    type: 'boolean',
    help: 'encrypt, with a certificate made here: browsers need it for WebGPU on a LAN',
  },
  cert: { type: 'string', value: 'FILE', help: 'certificate to use instead (PEM), with --key' },
  key: { type: 'string', value: 'FILE', help: 'its private key (PEM)' },
  'public-url': { type: 'string', value: 'URL', help: 'address participants use, behind a proxy' },
  'trust-proxy': {
    type: 'boolean',
    help: 'a proxy stands in front: limits count by the last entry of its X-Forwarded-For',
  },
  'max-sockets': {
    type: 'string',
    value: 'N',
    help: `connections from one network address, default ${DEFAULT_ADDRESS_LIMITS.sockets}`,
  },
  'max-joins': {
    type: 'string',
    value: 'N',
    help: `new participants a minute from one network address, default ${DEFAULT_ADDRESS_LIMITS.joinsPerMinute}`,
  },
  'disk-quota': {
    type: 'string',
    value: 'GB',
    help: `no new upload begins once the data folder holds so much, default ${DEFAULT_DISK_QUOTA_GB}`,
  },
  'data-dir': {
    type: 'string',
    value: 'DIR',
    help: `where everything is kept, default ${DEFAULT_DATA_DIR}`,
  },
  ...strategyOptions(STRATEGY_NAMES),
  'publish-every': {
    type: 'string',
    value: 'N',
    help: `contributions between two published versions, default ${DEFAULT_PUBLISH_EVERY}; 1 reveals each`,
  },
  'join-code': {
    type: 'string',
    value: 'CODE',
    help: 'who joins must know it; `new` makes one, `none` takes it away. It is part of the link printed',
  },
  approve: { type: 'boolean', help: 'a contribution counts only once the host has let it' },
  gate: {
    type: 'string',
    value: 'FILE',
    help: 'measure each version on this text, or folder of pictures, before it is published; one worse than the base is held back',
  },
  ...PRIVATE_OPTIONS,
  ...MODE_OPTIONS,
  ...TRAINING_OPTIONS,
}

export interface HostPlan {
  readonly room: string
  readonly dataDir: string
  /** undefined: the usual one, or a free one. */
  readonly port: number | undefined
  readonly lan: boolean
  readonly addresses: readonly string[]
  readonly publicUrl: string | undefined
  readonly publishEvery: number
  /** The host's own text or pictures, that each version is measured on. */
  readonly gate: string | undefined
}

export function readPlan(args: Arguments): HostPlan {
  const room = args.text('room') ?? DEFAULT_ROOM
  if (!v.is(roomName, room)) {
    throw new UsageError(`--room takes a-z, 0-9 and inner hyphens, at most 63, not ${JSON.stringify(room)}.`)
  }
  const publicUrl = args.text('public-url')
  if (
    publicUrl !== undefined &&
    !(URL.canParse(publicUrl) && /^https?:$/.test(new URL(publicUrl).protocol))
  ) {
    throw new UsageError(
      `--public-url takes an address such as https://learn.example.org, not ${JSON.stringify(publicUrl)}.`,
    )
  }
  const gate = args.text('gate')
  if (gate !== undefined && (args.has('dp') || (args.has('mode') && args.text('mode') !== 'one-shot'))) {
    throw new UsageError('--gate goes with a one-shot room that is not private.')
  }
  if (gate !== undefined && !existsSync(gate)) {
    throw new UsageError(`--gate names a text file or a folder of pictures, and there is no ${gate}.`)
  }
  const lan = args.flag('lan')
  const addresses = lan ? lanAddresses() : []
  if (lan && addresses.length === 0 && publicUrl === undefined) {
    throw new CliError(
      'network/none',
      'This machine has no address in a local network; connect it, or leave out --lan.',
    )
  }
  return {
    room,
    dataDir: path.resolve(args.text('data-dir') ?? DEFAULT_DATA_DIR),
    port: args.integer('port', { least: 0, most: 65_535 }),
    lan,
    addresses,
    publicUrl,
    gate,
    publishEvery:
      args.integer('publish-every', { least: 1, most: MAX_CONTRIBUTIONS }) ?? DEFAULT_PUBLISH_EVERY,
  }
}

export async function readTls(args: Arguments, { dataDir, addresses }: HostPlan): Promise<Tls | null> {
  const cert = args.text('cert')
  const key = args.text('key')
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('--cert and --key go together.')
  if (cert !== undefined && key !== undefined) return readCertificate(cert, key)
  return args.flag('https') ? selfSignedCertificate(path.join(dataDir, 'tls'), addresses) : null
}
