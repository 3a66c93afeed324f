/** Clients as processes of the command line itself: `oneround join`, and later `oneround eval`. */
import type { ChildProcess } from 'node:child_process'
import path from 'node:path'
import type { Manifest } from '../../relay/protocol/index.ts'
import { runCommand } from '../cli-process.ts'
import type { Contribution, DemoClient, DemoClients, Losses, Meeting } from './client.ts'

interface JoinResult extends Contribution {
  readonly loss: Pick<Losses, 'base' | 'own'>
}

/** `manifest` of the room: the held-out part is the same only if the windows are. */
export function nodeClients(meeting: Meeting, manifest: Manifest): DemoClients {
  const children = new Set<ChildProcess>()
  const run = <T>(name: string, args: readonly string[]) =>
    runCommand<T>(args, {
      name,
      signal: meeting.signal,
      say: (line) => meeting.say(name, line),
      children,
    })
  return {
    description: 'three Node processes',
    create: (name, data) => new NodeClient(name, data, meeting, manifest, run),
    async close() {
      for (const child of children) child.kill()
    },
  }
}

class NodeClient implements DemoClient {
  readonly name: string
  readonly #data: string
  readonly #meeting: Meeting
  readonly #manifest: Manifest
  readonly #run: <T>(name: string, args: readonly string[]) => Promise<T>
  #joined: JoinResult | undefined

  constructor(
    name: string,
    data: string,
    meeting: Meeting,
    manifest: Manifest,
    run: <T>(name: string, args: readonly string[]) => Promise<T>,
  ) {
    this.name = name
    this.#data = data
    this.#meeting = meeting
    this.#manifest = manifest
    this.#run = run
  }

  async contribute(): Promise<Contribution> {
    this.#joined = await this.#run<JoinResult>(this.name, [
      'join',
      this.#meeting.joinUrl,
      '--data',
      this.#data,
    ])
    const { backend, steps, tokensPerSecond, bytesSent, counted, unit } = this.#joined
    return { backend, steps, tokensPerSecond, bytesSent, counted, unit }
  }

  async measure(mergedFolder: string): Promise<Losses> {
    const { backend, loss } = this.#joined!
    const { base, recipe } = this.#manifest
    // A picture is as long as its model makes it.
    const length = this.#joined!.counted === 'tokens' ? ['--length', String(recipe.tokens)] : []
    const merged = await this.#run<{ loss: number }>(this.name, [
      ...['eval', '--model', base.id, '--adapter', mergedFolder, '--data', this.#data, '--held-out'],
      ...['--batch', String(recipe.batch), '--backend', backend, ...length],
    ])
    return { ...loss, merged: merged.loss }
  }
}

/** The same captions and noise without and with the merged adapter, as PNG files in `out`. */
export async function drawBeforeAndAfter(
  { signal, say }: Meeting,
  { model, captions }: { readonly model: string; readonly captions: readonly string[] },
  mergedFolder: string,
  out: string,
  backend: string,
): Promise<{ base: string; merged: string }> {
  const files = { base: path.join(out, 'base.png'), merged: path.join(out, 'merged.png') }
  for (const which of ['base', 'merged'] as const) {
    const prompts = captions.flatMap((caption) => ['--prompt', caption])
    const adapter = which === 'merged' ? ['--adapter', mergedFolder] : []
    const args = ['generate', '--model', model, ...adapter, ...prompts, '--out', files[which]]
    await runCommand([...args, '--seed', 'demo', '--guidance', '2', '--backend', backend], {
      name: which,
      signal,
      say: (line) => say(which, line),
    })
  }
  return files
}
