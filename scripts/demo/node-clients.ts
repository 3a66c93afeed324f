/** Clients as processes of the command line itself: `oneround join`, and later `oneround eval`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Contribution, DemoClient, DemoClients, Losses, Meeting } from './client.ts'

const program = fileURLToPath(new URL('../../bin/oneround.mjs', import.meta.url))

interface JoinResult extends Contribution {
  readonly loss: Pick<Losses, 'base' | 'own'>
}

/** `recipe` as the room's: the held-out part is the same only if the windows are. */
export function nodeClients(meeting: Meeting, recipe: { batch: number; tokens: number }): DemoClients {
  const children = new Set<ChildProcess>()
  const run = <T>(name: string, args: readonly string[]) => runJson<T>(name, args, meeting, children)
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

/** Runs one command and returns its JSON; what it says on stderr is passed on. */
async function runJson<T>(
  name: string,
  args: readonly string[],
  { say, signal }: Meeting,
  children: Set<ChildProcess>,
): Promise<T> {
  signal.throwIfAborted()
  const child = spawn(process.execPath, [program, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  const stop = () => child.kill()
  signal.addEventListener('abort', stop, { once: true })
  try {
    createInterface({ input: child.stderr }).on('line', (line) => say(name, line))
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    await new Promise<void>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', () => resolve())
    })
    signal.throwIfAborted()
    if (stdout === '') throw new Error(`${name}'s process ended without an answer.`)
    const answer = JSON.parse(stdout)
    if (answer.error)
      throw Object.assign(new Error(`${name}: ${answer.error.message}`), { code: answer.error.code })
    return answer
  } finally {
    children.delete(child)
    signal.removeEventListener('abort', stop)
  }
}
