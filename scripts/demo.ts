/**
 * `npm run demo`: a whole round by itself. A relay on a free port, three clients with the text of one author each
 * (`--model emoji-dit`: the emoji of one kind each), each trains on its own data, sends one update and goes; the third
 * joins when the first has sent and gone. Then all come back for the merged adapter and measure it on the tenth of
 * their data that nobody trained on.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
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
import { drawBeforeAndAfter } from './demo/node-clients.ts'
import { STORIES, type Story } from './demo/stories.ts'

const MERGE_TIMEOUT_MS = 60_000

const pageDir = fileURLToPath(new URL('../dist/page', import.meta.url))

const OPTIONS: OptionSpecs = {
  clients: { type: 'string', value: 'KIND', help: 'tabs or node; default: tabs where there is a Chromium' },
  model: {
    type: 'string',
    value: 'M',
    help: `${STORIES.map(({ model }) => model).join(' or ')}, default ${STORIES[0].model}`,
  },
  steps: {
    type: 'string',
    value: 'N',
    help: `optimiser steps a client, default ${STORIES.map(({ choices }) => choices.steps).join(' or ')}`,
  },
  out: { type: 'string', value: 'DIR', help: 'folder for the merged adapter, default demo-out' },
}

interface Row extends Contribution {
  readonly name: string
  readonly loss: Losses
}

async function demo(args: Arguments, console: Console, signal: AbortSignal): Promise<void> {
  args.noPositionals()
  const kind = args.choice('clients', ['tabs', 'node'] as const)
  const model =
    args.choice(
      'model',
      STORIES.map((story) => story.model),
    ) ?? STORIES[0].model
  const story = STORIES.find((one) => one.model === model)!
  const steps = args.integer('steps', { least: 1, most: 100_000 })
  const out = path.resolve(args.text('out') ?? 'demo-out')
  const started = performance.now()
  const say = (text: string) =>
    console.note(`${duration((performance.now() - started) / 1000).padStart(11)}  ${text}`)

  const dataDir = await mkdtemp(path.join(tmpdir(), 'oneround-demo-'))
  let relay: Relay | undefined
  let clients: DemoClients | undefined
  try {
    const people = await story.people(path.join(dataDir, 'pictures'))
    const opened = await openRoom(dataDir, story, steps, people.length, say)
    relay = opened.relay
    const { manifest } = opened
    const joinUrl = new URL(`/join/${manifest.room}`, relay.url).href
    say(`relay at ${joinUrl}`)
    const meeting: Meeting = {
      joinUrl,
      signal,
      words: story.words,
      say: (client, text) => say(`${client}: ${text}`),
    }
    clients = await chooseClients(kind, meeting, manifest, say)
    const actors = people.map(({ name, data }) => clients!.create(name, data))
    if (story.credit !== '') say(`Pictures: ${story.credit}.`)

    const contributions = await everyoneContributes(actors, say)
    const version = await published(relay, manifest, people.length, signal)
    say(
      `merged: version ${version.version} of ${version.contributions} contributions, ${version.digest.slice(0, 16)}…`,
    )
    const dir = path.join(out, 'merged')
    await saveVersion(relay, manifest, version, dir)

    const rows: Row[] = []
    for (const [i, person] of actors.entries()) {
      signal.throwIfAborted()
      rows.push({ name: person.name, ...contributions[i], loss: await person.measure(dir) })
    }
    console.print(summary(rows, version, dir))
    const pictures =
      story.captions.length > 0 ? await drawBeforeAndAfter(meeting, story, dir, out, rows[0].backend) : null
    if (pictures) console.print(`Drawn from the same noise: ${pictures.base}, ${pictures.merged}\n`)
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
      ...(pictures && { pictures }),
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
  { model: id, title, choices, evaluateEvery }: Story,
  steps: number | undefined,
  people: number,
  say: (text: string) => void,
): Promise<{ relay: Relay; manifest: Manifest }> {
  const model = await findBaseModel(id)
  const described = await describeModel(model)
  const { family, targets, recipe } = await readSpec(model)
  const manifest = roomManifest({
    room: 'demo',
    title,
    model,
    described,
    family,
    modules: targets,
    form: 'lora',
    start: null,
    rank: 8,
    alpha: 16,
    seed: randomBytes(16).toString('hex'),
    recipe: { ...recipe({ ...choices, ...(steps && { steps }) }), evaluateEvery },
    strategy: { id: 'florist', tau: DEFAULT_TAU },
    publishEvery: people,
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
    return nodeClients(meeting, manifest)
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

async function published(
  relay: Relay,
  { room }: Manifest,
  people: number,
  signal: AbortSignal,
): Promise<Version> {
  const deadline = performance.now() + MERGE_TIMEOUT_MS
  while (performance.now() < deadline) {
    signal.throwIfAborted()
    const answer = await fetch(new URL(`/api/rooms/${room}/versions`, relay.url), { signal })
    const { versions } = (await answer.json()) as { versions: Version[] }
    const complete = versions.find(({ contributions }) => contributions === people)
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
  const heading = ['client', 'backend', 'steps', `${rows[0].counted}/s`, 'sent', 'base', 'own', 'merged']
  const lines = rows.map(
    ({ name, backend, steps, tokensPerSecond, bytesSent, loss: { base, own, merged } }) => [
      name,
      backend,
      String(steps),
      tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0),
      bytes(bytesSent),
      loss(base),
      loss(own),
      loss(merged),
    ],
  )
  const over = (pick: (losses: Losses) => number) => loss(mean(rows.map((row) => pick(row.loss))))
  const means = ['mean', '', '', '', '', over((l) => l.base), over((l) => l.own), over((l) => l.merged)]
  return [
    `\nHeld-out loss (${rows[0].unit}), on data that nobody trained on:\n\n`,
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
