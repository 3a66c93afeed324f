/** Clients as processes of the command line itself: `oneround join`, and later `oneround eval`. */
import type { ChildProcess } from 'node:child_process'
import { runCommand } from '../cli-process.ts'
import type { Contribution, DemoClient, DemoClients, Losses, Meeting } from './client.ts'

interface JoinResult extends Contribution {
  readonly loss: Pick<Losses, 'base' | 'own'>
}

/** `recipe` as the room's: the held-out part is the same only if the windows are. */
export function nodeClients(meeting: Meeting, recipe: { batch: number; tokens: number }): DemoClients {
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
    create: (name, textFile) => new NodeClient(name, textFile, meeting, recipe, run),
    async close() {
      for (const child of children) child.kill()
    },
  }
}

class NodeClient implements DemoClient {
  readonly name: string
  readonly #textFile: string
  readonly #meeting: Meeting
  readonly #recipe: { batch: number; tokens: number }
  readonly #run: <T>(name: string, args: readonly string[]) => Promise<T>
  #joined: JoinResult | undefined

  constructor(
    name: string,
    textFile: string,
    meeting: Meeting,
    recipe: { batch: number; tokens: number },
    run: <T>(name: string, args: readonly string[]) => Promise<T>,
  ) {
    this.name = name
    this.#textFile = textFile
    this.#meeting = meeting
    this.#recipe = recipe
    this.#run = run
  }

  async contribute(): Promise<Contribution> {
    this.#joined = await this.#run<JoinResult>(this.name, [
      'join',
      this.#meeting.joinUrl,
      '--data',
      this.#textFile,
    ])
    const { backend, steps, tokensPerSecond, bytesSent } = this.#joined
    return { backend, steps, tokensPerSecond, bytesSent }
  }

  async measure(mergedFolder: string): Promise<Losses> {
    const { backend, loss } = this.#joined!
    const { batch, tokens } = this.#recipe
    const merged = await this.#run<{ loss: number }>(this.name, [
      ...['eval', '--adapter', mergedFolder, '--data', this.#textFile, '--held-out'],
      ...['--length', String(tokens), '--batch', String(batch), '--backend', backend],
    ])
    return { ...loss, merged: merged.loss }
  }
}
