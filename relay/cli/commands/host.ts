/**
 * `host`: a relay with one room, and the page to join it with. Prints the join URL and its QR code. Starting it
 * again on the same data folder goes on with the same room: nothing that was accepted is lost.
 */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { MAX_SOCKETS, manifestDigest, ProtocolError } from '../../protocol/index.ts'
import { DEFAULT_ADDRESS_LIMITS } from '../../server/address-limits.ts'
import { type Relay, type RelayOptions, startRelay } from '../../server/server.ts'
import { SUPPORTED } from '../../server/supported.ts'
import type { Arguments } from '../args.ts'
import { describeModel, findBaseModel, readSpec } from '../base-model.ts'
import type { Command } from '../command.ts'
import type { Console } from '../console.ts'
import { Gate } from '../gate.ts'
import {
  DEFAULT_DISK_QUOTA_GB,
  DEFAULT_PORT,
  HOST_OPTIONS,
  type HostPlan,
  readPlan,
  readTls,
} from '../host-options.ts'
import { openRoom, roomAdapter, wantedManifest } from '../hosted-room.ts'
import { hostedModels, offeredModel, servedFiles } from '../hosting-offer.ts'
import { setJoinCode } from '../join-code.ts'
import { modeOf } from '../mode-option.ts'
import { relayLog } from '../relay-log.ts'
import { ensureStart } from '../start-file.ts'
import { StartMaker } from '../start-maker.ts'
import { STRATEGIES_IN_WORDS } from '../strategy-option.ts'
import { welcome } from '../welcome.ts'

const PAGE_DIR = fileURLToPath(new URL('../../../dist/page', import.meta.url))

export const command: Command = {
  usage: '[OPTIONS]',
  about: `Serves the page, the base model and a room to join. Ctrl-C stops it; started again on the same data
folder, it goes on where it was.
Of the strategies, ${STRATEGIES_IN_WORDS}`,
  options: HOST_OPTIONS,
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
    const starts = new StartMaker({
      dataDir: plan.dataDir,
      hosted,
      served: modelFiles,
      offered: models,
      console,
    })
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
      makeStart: (request) => starts.make(request),
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

function baseUrl(relay: Relay, { publicUrl, addresses }: HostPlan): string {
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
