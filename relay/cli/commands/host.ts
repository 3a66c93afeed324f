/**
 * `host`: a relay with one room, and the page to join it with. Prints the join URL and its QR code. Starting it
 * again on the same data folder goes on with the same room: nothing that was accepted is lost.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import {
  isStepped,
  joinCode as joinCodeSchema,
  MAX_CONTRIBUTIONS,
  MAX_SOCKETS,
  type Manifest,
  manifestDigest,
  ProtocolError,
  parseManifest,
  quorumOf,
  roomName,
} from '../../protocol/index.ts'
import { DEFAULT_ADDRESS_LIMITS } from '../../server/address-limits.ts'
import { type Relay, type RelayOptions, startRelay } from '../../server/server.ts'
import { SUPPORTED } from '../../server/supported.ts'
import type { Arguments } from '../args.ts'
import { type BaseModel, describeModel, findBaseModel, MODEL_OPTION, readSpec } from '../base-model.ts'
import { readCertificate, selfSignedCertificate, type Tls } from '../certificate.ts'
import type { Command } from '../command.ts'
import type { Console } from '../console.ts'
import { CliError, UsageError } from '../errors.ts'
import { Gate } from '../gate.ts'
import { hostedModels, offeredModel, servedFiles } from '../hosting-offer.ts'
import { MODE_OPTIONS, modeOf, strategyForRounds } from '../mode-option.ts'
import { lanAddresses } from '../network.ts'
import { ownManifest } from '../own-manifest.ts'
import { PRIVATE_OPTIONS, privacyOf, privateForm } from '../private-option.ts'
import { relayLog } from '../relay-log.ts'
import { roomManifest } from '../room-manifest.ts'
import { ensureStart, type StartFile } from '../start-file.ts'
import { roomStrategyOf, STRATEGIES_IN_WORDS, strategyOptions } from '../strategy-option.ts'
import { adapterOptions, recipeOf, TRAINING_OPTION_NAMES, TRAINING_OPTIONS } from '../training-options.ts'
import { welcome } from '../welcome.ts'

const DEFAULT_DATA_DIR = 'oneround-data'
const DEFAULT_PORT = 8787
/** A full room of rank-64 updates of a 7-billion-parameter model is 164 GB; one of SmolLM2, 3 GB. */
const DEFAULT_DISK_QUOTA_GB = 100
const DEFAULT_ROOM = 'main'
const DEFAULT_TITLE = 'Fine-tuning together'
/** One contribution a version would show each contribution to everyone. */
const DEFAULT_PUBLISH_EVERY = 3

/** `--rank` is here that of the adapters trained. */
const STRATEGY_NAMES = { rank: 'publish-rank', seed: 'mask-seed' }

const PAGE_DIR = fileURLToPath(new URL('../../../dist/page', import.meta.url))

export const command: Command = {
  usage: '[OPTIONS]',
  about: `Serves the page, the base model and a room to join. Ctrl-C stops it; started again on the same data
folder, it goes on where it was.
Of the strategies, ${STRATEGIES_IN_WORDS}`,
  options: {
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
  },
  async run(args, console, signal) {
    args.noPositionals()
    const plan = readPlan(args)
    // Wrong options before anything is loaded.
    roomAdapter(args)
    modeOf(args)
    const model = await findBaseModel(args.text('model'), { console, signal })
    console.note(`oneround: checking ${model.id} …`)
    const described = await describeModel(model)
    const tls = await readTls(args, plan)
    const { form, rank, alpha } = roomAdapter(args)
    const modules = (await readSpec(model)).targets
    const start =
      form === 'lora-sb'
        ? await ensureStart(plan.dataDir, model, described.digest, { form, rank, alpha, modules }, console)
        : null
    const hosted = await hostedModels({ model, ...described })
    const modelFiles = await Promise.all(hosted.map((one) => servedFiles(plan.dataDir, one)))
    const models = await Promise.all(hosted.map((one) => offeredModel(plan.dataDir, one)))
    const log = relayLog((line) => console.note(line))
    if (!existsSync(path.join(PAGE_DIR, 'index.html'))) {
      console.note(
        'oneround: the page is not built, so browsers cannot join: run `npm run build`, then start again.',
      )
    }
    const gate = plan.gate === undefined ? null : gateOn(plan.gate, args, console, signal, () => relay)
    const relay: Relay = await startOn(plan.port, {
      ...(gate && { onCandidate: (candidate) => void gate.candidate(candidate) }),
      dataDir: plan.dataDir,
      host: plan.lan ? '0.0.0.0' : '127.0.0.1',
      pageDir: existsSync(PAGE_DIR) ? PAGE_DIR : null,
      modelFiles,
      offer: (running) => ({ ...SUPPORTED, joinBase: new URL(baseUrl(running, plan)).origin, models }),
      ...(tls && { tls }),
      rooms: [],
      allowedOrigins: plan.publicUrl ? [new URL(plan.publicUrl).origin] : [],
      trustProxy: args.flag('trust-proxy'),
      diskQuotaBytes: 1e9 * (args.number('disk-quota', { least: 0.001, most: 1e6 }) ?? DEFAULT_DISK_QUOTA_GB),
      limits: {
        sockets:
          args.integer('max-sockets', { least: 1, most: MAX_SOCKETS }) ?? DEFAULT_ADDRESS_LIMITS.sockets,
        joinsPerMinute:
          args.integer('max-joins', { least: 1, most: 1_000_000 }) ?? DEFAULT_ADDRESS_LIMITS.joinsPerMinute,
      },
      log,
    })
    try {
      const wanted = {
        ...(await wantedManifest(args, plan, model, described, start)),
        receiptKey: relay.receiptKey,
        ...(args.flag('approve') && { admission: 'approve' as const }),
        ...(gate && { gate: { tolerance: 0 } }),
      }
      const manifest = await openRoom(relay, wanted, args, plan, console)
      setJoinCode(relay, manifest.room, args)
      const joinCode = relay.joinCode(manifest.room)
      const joinUrl = new URL(
        `/join/${manifest.room}${joinCode === null ? '' : `#${joinCode}`}`,
        baseUrl(relay, plan),
      ).href
      // The host sits at this machine, or reaches it the way that participants do.
      const hostUrl = new URL(`/host/${manifest.room}#${relay.hostToken}`, plan.publicUrl ?? relay.url).href
      console.result({
        joinUrl,
        hostUrl,
        joinCode,
        url: relay.url,
        port: relay.port,
        room: manifest.room,
        manifestDigest: manifestDigest(manifest),
        model: manifest.base.id,
        dataDir: plan.dataDir,
        hostToken: relay.hostToken,
      })
      await welcome({ joinUrl, hostUrl }, manifest, { ...plan, tls: tls !== null }, console)
      await untilStopped(relay, manifest.room, console, signal)
    } finally {
      await relay.close()
    }
    console.note(
      `\nStopped. Nothing is lost: what was accepted is in ${plan.dataDir}, and starting again there goes on with the round.`,
    )
  },
}

/** The relay is there by the time that a candidate is. */
const gateOn = (file: string, args: Arguments, console: Console, signal: AbortSignal, relay: () => Relay) =>
  new Gate({
    model: args.text('model'),
    file,
    console,
    signal,
    judge: (...verdict) => relay().judge(...verdict),
  })

/** Letters and digits that cannot be taken for one another; 40 bits, as attempts are few a minute. */
const CODE_LETTERS = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ'

function newJoinCode(): string {
  const letters = [...randomBytes(8)].map((byte) => CODE_LETTERS[byte % CODE_LETTERS.length]).join('')
  return `${letters.slice(0, 4)}-${letters.slice(4)}`
}

/** Without the option a room keeps the code it has. */
function setJoinCode(relay: Relay, room: string, args: Arguments): void {
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

interface Plan {
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

function readPlan(args: Arguments): Plan {
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

async function readTls(args: Arguments, { dataDir, addresses }: Plan): Promise<Tls | null> {
  const cert = args.text('cert')
  const key = args.text('key')
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('--cert and --key go together.')
  if (cert !== undefined && key !== undefined) return readCertificate(cert, key)
  return args.flag('https') ? selfSignedCertificate(path.join(dataDir, 'tls'), addresses) : null
}

/** Without --port the usual one is only a wish. */
async function startOn(port: number | undefined, options: RelayOptions): Promise<Relay> {
  if (port !== undefined) return startRelay({ ...options, port })
  try {
    return await startRelay({ ...options, port: DEFAULT_PORT })
  } catch (error) {
    const taken = error instanceof ProtocolError && error.code === 'relay/address'
    if (!taken) throw error
    return startRelay({ ...options, port: 0 })
  }
}

async function wantedManifest(
  args: Arguments,
  plan: Plan,
  model: BaseModel,
  described: Awaited<ReturnType<typeof describeModel>>,
  start: StartFile | null,
): Promise<Manifest> {
  const adapter = roomAdapter(args)
  const mode = modeOf(args)
  const strategy = roomStrategyOf(args, STRATEGY_NAMES, adapter.form)
  const spec = await readSpec(model)
  return roomManifest({
    room: plan.room,
    title: args.text('title') ?? DEFAULT_TITLE,
    model,
    described,
    family: spec.family,
    modules: spec.targets,
    ...adapter,
    start,
    seed: randomBytes(16).toString('hex'),
    recipe: recipeOf(args, spec),
    strategy: mode ? strategyForRounds(strategy, adapter.rank) : strategy,
    publishEvery: mode && isStepped(mode) ? quorumOf(mode) : plan.publishEvery,
    mode,
    privacy: privacyOf(args),
  })
}

/** A private room has forms of its own. */
function roomAdapter(args: Arguments) {
  const adapter = adapterOptions(args)
  return privacyOf(args) ? { ...adapter, form: privateForm(args, adapter.form) } : adapter
}

/** Options that become part of a manifest; an existing room's cannot be changed by them. */
const MANIFEST_OPTIONS = [
  ...TRAINING_OPTION_NAMES,
  ...Object.keys(strategyOptions(STRATEGY_NAMES)),
  'publish-every',
  'approve',
  'gate',
  ...Object.keys(PRIVATE_OPTIONS),
  ...Object.keys(MODE_OPTIONS),
  'title',
  'model',
]

/** A new room, or the one of this name from an earlier start, as it was. */
async function openRoom(
  relay: Relay,
  wanted: Manifest,
  args: Arguments,
  plan: Plan,
  console: Console,
): Promise<Manifest> {
  if (!relay.rooms().includes(wanted.room)) {
    await relay.createRoom(wanted)
    return wanted
  }
  const existing = await ownManifest(relay.url, wanted.room)
  // The seed is drawn anew each time and the title may stay; everything else must be what was asked for.
  const same = parseManifest({
    ...wanted,
    title: args.has('title') ? wanted.title : existing.title,
    adapter: { ...wanted.adapter, seed: existing.adapter.seed },
  })
  if (manifestDigest(same) !== manifestDigest(existing)) {
    if (existing.base.digest !== wanted.base.digest || MANIFEST_OPTIONS.some((name) => args.has(name))) {
      throw new CliError(
        'room/exists',
        `The room ${wanted.room} in ${plan.dataDir} was made with another model or other options, and those cannot change: choose another --room or another --data-dir.`,
      )
    }
    console.note(`oneround: the room ${wanted.room} keeps the settings it was made with.`)
  }
  return existing
}

function baseUrl(relay: Relay, { publicUrl, addresses }: Plan): string {
  if (publicUrl !== undefined) return publicUrl
  const url = new URL(relay.url)
  const [address] = addresses
  if (address !== undefined) url.hostname = address
  return url.href
}

/** Until Ctrl-C. At a terminal the host may also type `close`. */
async function untilStopped(
  relay: Relay,
  room: string,
  console: Console,
  signal: AbortSignal,
): Promise<void> {
  const input = process.stdin.isTTY ? createInterface({ input: process.stdin }) : null
  if (input) {
    console.note('When everybody has sent, type close and Enter: the rest is merged and published.')
    input.on('line', (line) => {
      if (line.trim() !== 'close') return
      relay.closeRoom(room).catch((error: Error) => console.note(`oneround: ${error.message}`))
    })
    // Readline takes Ctrl-C for itself.
    input.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  }
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  }
  input?.close()
}
