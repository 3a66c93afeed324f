/**
 * `npm run demo`: a whole round by itself. A relay on a free port, three clients on texts of three authors, each
 * trains on its own text, sends one update and goes; the third joins when the first has sent and gone. Then all
 * come back for the merged adapter and measure it on the tenth of their text that nobody trained on.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { DEFAULT_RECIPE } from '../models/training/recipe.ts'
import { DEFAULT_TAU } from '../relay/aggregation/index.ts'
import { Arguments, COMMON_OPTIONS, describeOptions, type OptionSpecs } from '../relay/cli/args.ts'
import { describeModel, findBaseModel, readSpec } from '../relay/cli/base-model.ts'
import { Console } from '../relay/cli/console.ts'
import { CliError, isExpected, UsageError } from '../relay/cli/errors.ts'
import { bytes, duration, loss, table } from '../relay/cli/format.ts'
import { relayLog } from '../relay/cli/relay-log.ts'
import { roomManifest } from '../relay/cli/room-manifest.ts'
import { downloadVersion } from '../relay/client/index.ts'
import type { Manifest, Version } from '../relay/protocol/index.ts'
import { type Relay, startRelay } from '../relay/server/server.ts'
import { findChromium } from './chromium.ts'
import type { Contribution, DemoClient, DemoClients, Losses, Meeting } from './demo/client.ts'

/** Unlike each other in time and kind: a story for children, a work of science, tales of horror. */
const AUTHORS = ['carroll', 'darwin', 'poe'] as const

/** About 12,000 tokens a client: enough to learn an author's manner, little enough for three minutes in all. */
const RECIPE = { ...DEFAULT_RECIPE, steps: 24, batch: 4, tokens: 128, evaluateEvery: 12 }

const MERGE_TIMEOUT_MS = 60_000

const samples = new URL('../models/catalog/samples/', import.meta.url)
const pageDir = fileURLToPath(new URL('../dist/page', import.meta.url))

const OPTIONS: OptionSpecs = {
  clients: { type: 'string', value: 'KIND', help: 'tabs or node; default: tabs where there is a Chromium' },
  steps: { type: 'string', value: 'N', help: `optimiser steps a client, default ${RECIPE.steps}` },
  out: { type: 'string', value: 'DIR', help: 'folder for the merged adapter, default demo-out' },
}

interface Row extends Contribution {
  readonly name: string
  readonly loss: Losses
}

async function demo(args: Arguments, console: Console, signal: AbortSignal): Promise<void> {
  args.noPositionals()
  const kind = args.choice('clients', ['tabs', 'node'] as const)
  const steps = args.integer('steps', { least: 1, most: 100_000 }) ?? RECIPE.steps
  const out = path.resolve(args.text('out') ?? 'demo-out')
  const started = performance.now()
  const say = (text: string) =>
    console.note(`${duration((performance.now() - started) / 1000).padStart(11)}  ${text}`)

  const dataDir = await mkdtemp(path.join(tmpdir(), 'oneround-demo-'))
  let relay: Relay | undefined
  let clients: DemoClients | undefined
  try {
    const opened = await openRoom(dataDir, { ...RECIPE, steps }, say)
    relay = opened.relay
    const { manifest } = opened
    const joinUrl = new URL(`/join/${manifest.room}`, relay.url).href
    say(`relay at ${joinUrl}`)
    const meeting: Meeting = { joinUrl, signal, say: (client, text) => say(`${client}: ${text}`) }
    clients = await chooseClients(kind, meeting, manifest, say)
    const people = AUTHORS.map((author) =>
      clients!.create(author, fileURLToPath(new URL(`${author}.txt`, samples))),
    )

    const contributions = await everyoneContributes(people, say)
    const version = await published(relay, manifest, signal)
    say(
      `merged: version ${version.version} of ${version.contributions} contributions, ${version.digest.slice(0, 16)}…`,
    )
    const dir = path.join(out, 'merged')
    await saveVersion(relay, manifest, version, dir)

    const rows: Row[] = []
    for (const [i, person] of people.entries()) {
      signal.throwIfAborted()
      rows.push({ name: person.name, ...contributions[i], loss: await person.measure(dir) })
    }
    console.print(summary(rows, version, dir))
    const worse = rows.filter((row) => !(row.loss.merged < row.loss.base))
    if (worse.length > 0) {
      throw new CliError(
        'demo/not-better',
        `The merged adapter is no better than the base model for ${worse.map(({ name }) => name).join(', ')}; more --steps may help.`,
      )
    }
    console.result({
      clients: rows.map(({ name, backend, steps, tokensPerSecond, bytesSent, loss }) => ({
        name,
        backend,
        steps,
        tokensPerSecond,
        bytesSent,
        loss: { base: loss.base, own: loss.own, merged: loss.merged },
      })),
      merged: { version: version.version, digest: version.digest, contributions: version.contributions, dir },
    })
    say('done')
  } finally {
    await clients?.close()
    await relay?.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function openRoom(
  dataDir: string,
  recipe: typeof RECIPE,
  say: (text: string) => void,
): Promise<{ relay: Relay; manifest: Manifest }> {
  const model = await findBaseModel()
  const described = await describeModel(model)
  const { family, targets } = await readSpec(model)
  const manifest = roomManifest({
    room: 'demo',
    title: 'Three authors',
    model,
    described,
    family,
    modules: targets,
    form: 'lora',
    start: null,
    rank: 8,
    alpha: 16,
    seed: randomBytes(16).toString('hex'),
    recipe,
    strategy: { id: 'florist', tau: DEFAULT_TAU },
    publishEvery: AUTHORS.length,
  })
  const relay = await startRelay({
    dataDir,
    pageDir,
    modelFiles: [{ digest: described.digest, files: model.files }],
    rooms: [manifest],
    log: relayLog((line) => say(`relay: ${line}`), 'warn'),
  })
  return { relay, manifest }
}

/** Tabs where a Chromium starts; which and why is said. */
async function chooseClients(
  kind: 'tabs' | 'node' | undefined,
  meeting: Meeting,
  manifest: Manifest,
  say: (text: string) => void,
): Promise<DemoClients> {
  const node = async () => {
    const { nodeClients } = await import('./demo/node-clients.ts')
    return nodeClients(meeting, manifest.recipe)
  }
  const tabs = async () => {
    const { tabClients } = await import('./demo/tab-clients.ts')
    return tabClients(meeting, await findChromium({ install: kind === 'tabs' }))
  }
  if (kind !== undefined) {
    const clients = await (kind === 'tabs' ? tabs() : node())
    say(`clients: ${clients.description}, as asked for`)
    return clients
  }
  try {
    const clients = await tabs()
    say(`clients: ${clients.description}`)
    return clients
  } catch (error) {
    const clients = await node()
    const reason = (error as Error).message.split('\n')[0]
    say(`clients: ${clients.description}, because no Chromium can be used: ${reason}`)
    return clients
  }
}

/** The first two train side by side; the third joins once one of them has sent and gone. */
async function everyoneContributes(
  people: readonly DemoClient[],
  say: (text: string) => void,
): Promise<Contribution[]> {
  const [first, second, third] = people
  const early = [first.contribute(), second.contribute()]
  const late = Promise.race(early).then(() => {
    say(`${third.name} joins, after another has sent and gone`)
    return third.contribute()
  })
  return Promise.all([...early, late])
}

async function published(relay: Relay, { room }: Manifest, signal: AbortSignal): Promise<Version> {
  const deadline = performance.now() + MERGE_TIMEOUT_MS
  while (performance.now() < deadline) {
    signal.throwIfAborted()
    const answer = await fetch(new URL(`/api/rooms/${room}/versions`, relay.url), { signal })
    const { versions } = (await answer.json()) as { versions: Version[] }
    const complete = versions.find(({ contributions }) => contributions === AUTHORS.length)
    if (complete) return complete
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new CliError(
    'demo/no-version',
    'The relay published no merged version in a minute; its log is above.',
  )
}

async function saveVersion(relay: Relay, { room }: Manifest, version: Version, dir: string): Promise<void> {
  const files = await downloadVersion(relay.url, room, version)
  await mkdir(dir, { recursive: true })
  for (const [name, content] of files) await writeFile(path.join(dir, name), content)
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

function summary(rows: readonly Row[], version: Version, dir: string): string {
  const heading = ['client', 'backend', 'steps', 'tokens/s', 'sent', 'base', 'own', 'merged']
  const lines = rows.map(
    ({ name, backend, steps, tokensPerSecond, bytesSent, loss: { base, own, merged } }) => [
      name,
      backend,
      String(steps),
      tokensPerSecond.toFixed(0),
      bytes(bytesSent),
      loss(base),
      loss(own),
      loss(merged),
    ],
  )
  const over = (pick: (losses: Losses) => number) => loss(mean(rows.map((row) => pick(row.loss))))
  const means = ['mean', '', '', '', '', over((l) => l.base), over((l) => l.own), over((l) => l.merged)]
  return [
    '\nHeld-out loss in nats a token, on text that nobody trained on:\n\n',
    table([heading, ...lines, means], [2, 3, 4, 5, 6, 7]),
    `\nMerged version ${version.version}, ${version.contributions} contributions, one update each.\n`,
    `Merged adapter: ${dir}\n`,
  ].join('')
}

const argv = process.argv.slice(2)
const console = new Console(argv.includes('--json'))
const interrupt = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(130)
    interrupt.abort()
  })
}
try {
  const args = new Arguments(argv, { ...OPTIONS, ...COMMON_OPTIONS })
  if (args.flag('help')) {
    process.stdout.write(
      `Usage: npm run demo -- [OPTIONS]\n\n${describeOptions({ ...OPTIONS, ...COMMON_OPTIONS })}\n`,
    )
  } else {
    await demo(args, console, interrupt.signal)
  }
} catch (error) {
  const message = interrupt.signal.aborted ? 'Stopped.' : (error as Error).message
  const code = interrupt.signal.aborted ? 'stopped' : isExpected(error) ? error.code : 'internal'
  console.result({ error: { code, message } })
  console.note(`demo: ${message}`)
  if (code === 'internal') console.note((error as Error).stack ?? '')
  process.exitCode = interrupt.signal.aborted ? 130 : error instanceof UsageError ? 2 : 1
}
