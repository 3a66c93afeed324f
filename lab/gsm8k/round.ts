/**
 * One round on a real model: a relay, clients that are processes of the command line, each with its own rows of gsm8k,
 * one update each, the merged adapter, and its loss on rows that nobody trained on.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { DEFAULT_TAU } from '../../relay/aggregation/index.ts'
import { describeModel, findBaseModel, readSpec } from '../../relay/cli/base-model.ts'
import { relayLog } from '../../relay/cli/relay-log.ts'
import { roomManifest } from '../../relay/cli/room-manifest.ts'
import { downloadVersion } from '../../relay/client/index.ts'
import type { Recipe, Version } from '../../relay/protocol/index.ts'
import { startRelay } from '../../relay/server/server.ts'
import { runCommand } from '../../scripts/cli-process.ts'
import { deal, jsonLines } from './parts.ts'

export interface RoundOptions {
  /** A .gguf file. */
  readonly model: string
  /** Folder with train-1000.jsonl and test-200.jsonl: `prompt` and `completion`. */
  readonly data: string
  readonly clients: number
  readonly rowsPerClient: number
  readonly testRows: number
  readonly recipe: Recipe
  readonly rank: number
  readonly alpha: number
  readonly seed: string
  readonly backend: string
  readonly signal: AbortSignal
  readonly say: (text: string) => void
}

export interface ClientOutcome {
  readonly rows: number
  readonly backend: string
  readonly steps: number
  readonly tokensPerSecond: number
  readonly updateBytes: number
  readonly bytesSent: number
  /** Of its own held-out tenth, in nats a counted token. */
  readonly loss: { readonly base: number; readonly own: number; readonly merged: number }
}

export interface RoundOutcome {
  readonly clients: readonly ClientOutcome[]
  readonly merged: { readonly version: number; readonly digest: string; readonly contributions: number }
  /** Of rows that no client had. */
  readonly test: {
    readonly rows: number
    readonly tokens: number
    readonly base: number
    readonly merged: number
  }
}

interface Joined {
  readonly backend: string
  readonly steps: number
  readonly tokensPerSecond: number
  readonly updateBytes: number
  readonly bytesSent: number
  readonly loss: { readonly base: number; readonly own: number }
}

interface Evaluated {
  readonly loss: number
  readonly tokens: number
}

const ROOM = 'gsm8k'
const MERGE_TIMEOUT_MS = 120_000

export async function runRound(options: RoundOptions): Promise<RoundOutcome> {
  const { recipe, signal, say, backend, clients } = options
  const folder = await mkdtemp(path.join(tmpdir(), 'oneround-gsm8k-'))
  const { relay, join } = await openRoom(options, path.join(folder, 'relay'))
  try {
    const parts = await writeParts(options, folder)
    const evaluate = (name: string, ...args: string[]) =>
      runCommand<Evaluated>(
        [
          ...['eval', '--model', options.model, '--backend', backend],
          ...['--length', String(recipe.tokens), '--batch', String(recipe.batch), ...args],
        ],
        { name, signal, say: (line) => say(`${name}: ${line}`) },
      )
    const joined = await Promise.all(
      parts.train.map(({ file }, i) =>
        runCommand<Joined>(['join', join, '--data', file, '--backend', backend], {
          name: `client ${i + 1}`,
          signal,
          say: (line) => say(`client ${i + 1}: ${line}`),
        }),
      ),
    )
    const version = await published(relay.url, clients, signal)
    say(`merged: version ${version.version} of ${version.contributions} contributions`)
    const merged = path.join(folder, 'merged')
    await mkdir(merged, { recursive: true })
    for (const [name, content] of await downloadVersion(relay.url, ROOM, version))
      await writeFile(path.join(merged, name), content)

    const outcomes: ClientOutcome[] = []
    for (const [i, { file, rows }] of parts.train.entries()) {
      const { loss } = await evaluate(`client ${i + 1}`, '--data', file, '--held-out', '--adapter', merged)
      const { backend, steps, tokensPerSecond, updateBytes, bytesSent, loss: own } = joined[i]
      outcomes.push({
        ...{ rows, backend, steps, tokensPerSecond, updateBytes, bytesSent },
        loss: { base: own.base, own: own.own, merged: loss },
      })
    }
    const base = await evaluate('test, base', '--data', parts.test)
    const after = await evaluate('test, merged', '--data', parts.test, '--adapter', merged)
    const { version: number, digest, contributions } = version
    return {
      clients: outcomes,
      merged: { version: number, digest, contributions },
      test: { rows: options.testRows, tokens: base.tokens, base: base.loss, merged: after.loss },
    }
  } finally {
    await relay.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function openRoom(
  { model: name, recipe, rank, alpha, seed, clients, say }: RoundOptions,
  dataDir: string,
) {
  const model = await findBaseModel(name)
  const described = await describeModel(model)
  const spec = await readSpec(model)
  const manifest = roomManifest({
    ...{ room: ROOM, title: 'School mathematics', model, described, form: 'lora', start: null },
    ...{ rank, alpha, seed, recipe, strategy: { id: 'florist', tau: DEFAULT_TAU }, publishEvery: clients },
    family: spec.family,
    modules: spec.targets,
  })
  const relay = await startRelay({
    dataDir,
    // No page is asked for: the clients are processes.
    pageDir: fileURLToPath(new URL('.', import.meta.url)),
    modelFiles: [{ digest: described.digest, files: model.files }],
    rooms: [manifest],
    log: relayLog((line) => say(`relay: ${line}`), 'warn'),
  })
  return { relay, join: new URL(`/join/${ROOM}`, relay.url).href }
}

async function writeParts({ data, clients, rowsPerClient, testRows }: RoundOptions, folder: string) {
  const lines = async (name: string) => jsonLines(await readFile(path.join(data, name), 'utf8'))
  const train = deal(await lines('train-1000.jsonl'), clients, rowsPerClient)
  const written = train.map((rows, i) => ({ file: path.join(folder, `part-${i + 1}.jsonl`), rows }))
  for (const { file, rows } of written) await writeFile(file, rows.join('\n'))
  const test = path.join(folder, 'test.jsonl')
  await writeFile(test, (await lines('test-200.jsonl')).slice(0, testRows).join('\n'))
  return { train: written.map(({ file, rows }) => ({ file, rows: rows.length })), test }
}

async function published(url: string, contributions: number, signal: AbortSignal): Promise<Version> {
  const deadline = performance.now() + MERGE_TIMEOUT_MS
  while (performance.now() < deadline) {
    signal.throwIfAborted()
    const answer = await fetch(new URL(`/api/rooms/${ROOM}/versions`, url), { signal })
    const { versions } = (await answer.json()) as { versions: Version[] }
    const complete = versions.find((version) => version.contributions === contributions)
    if (complete) return complete
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
  throw new Error('The relay published no merged version in two minutes; its log is above.')
}
