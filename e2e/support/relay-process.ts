/** A relay as people run it: `oneround host` in a process of its own, which a test may kill. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '../..')
const program = path.join(root, 'bin/oneround.mjs')

/** Starting takes about a second; on a machine with all tests running, several. */
const START_TIMEOUT_MS = 60_000

/** What `host --json` says on stdout. */
export interface HostAnswer {
  readonly joinUrl: string
  /** The host's console, with the token in its fragment. */
  readonly hostUrl: string
  readonly url: string
  readonly port: number
  readonly room: string
  readonly manifestDigest: string
  readonly dataDir: string
  readonly hostToken: string
}

export class RelayProcess {
  readonly answer: HostAnswer
  /** From the start of the process until it listens. */
  readonly startMs: number
  readonly #child: ChildProcess
  readonly #log: () => string

  private constructor(child: ChildProcess, answer: HostAnswer, startMs: number, log: () => string) {
    this.#child = child
    this.answer = answer
    this.startMs = startMs
    this.#log = log
  }

  static async start(options: {
    dataDir: string
    port?: number
    args?: readonly string[]
  }): Promise<RelayProcess> {
    const started = performance.now()
    const child = spawn(
      process.execPath,
      [
        program,
        'host',
        '--json',
        '--port',
        String(options.port ?? 0),
        '--data-dir',
        options.dataDir,
        ...(options.args ?? []),
      ],
      { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    // A test that is broken off must not leave a relay behind.
    const killChild = () => child.kill('SIGKILL')
    process.once('exit', killChild)
    child.once('close', () => process.off('exit', killChild))
    let stdout = ''
    let stderr = ''
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const line = await new Promise<string>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`the relay ${why}:\n${stderr}`))
      const timer = setTimeout(() => fail('did not start in time'), START_TIMEOUT_MS)
      child.stdout.on('data', (chunk) => {
        stdout += chunk
        if (!stdout.includes('\n')) return
        clearTimeout(timer)
        resolve(stdout.slice(0, stdout.indexOf('\n')))
      })
      child.once('exit', (code) => {
        clearTimeout(timer)
        fail(`ended with ${code}`)
      })
    })
    child.removeAllListeners('exit')
    const answer = JSON.parse(line)
    if ('error' in answer) throw new Error(`the relay did not start: ${answer.error.message}`)
    return new RelayProcess(child, answer, performance.now() - started, () => stderr)
  }

  get log(): string {
    return this.#log()
  }

  /** As a power cut would: no handler runs. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill(signal)
    await ended
  }
}
