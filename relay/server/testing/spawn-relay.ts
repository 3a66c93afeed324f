/** Starts relay-process.ts and, if asked to, waits until it listens. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ProcessUsage, RelayProcessSettings } from './relay-process.ts'

export interface StartingRelay {
  readonly hostToken: string
  readonly process: ChildProcess
  /** Resolves with the URL once it listens; rejects with what it wrote if it ends before. */
  readonly listening: Promise<string>
  /** What it has written to stderr: errors, and nothing else. */
  errors(): string
  /** SIGKILL: no handler runs, nothing is flushed. Resolves when the process is gone. */
  kill(): Promise<void>
  usage(): Promise<ProcessUsage>
}

export interface RelayProcess extends StartingRelay {
  readonly url: string
}

export interface SpawnOptions extends Omit<RelayProcessSettings, 'dataDir'> {
  readonly environment?: NodeJS.ProcessEnv
}

export function launchRelay(dataDir: string, { environment, ...settings }: SpawnOptions = {}): StartingRelay {
  const script = fileURLToPath(new URL('./relay-process.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', script, JSON.stringify({ dataDir, ...settings })],
    { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ...environment } },
  )
  let errors = ''
  child.stderr!.on('data', (part) => {
    errors += part
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const listening = new Promise<string>((resolve, reject) => {
    child.stdout!.once('data', (line) => resolve(String(line).trim()))
    // `close`, not `exit`: by then everything it wrote has been read.
    child.once('close', (code, signal) =>
      reject(new Error(`the relay ended with ${signal ?? code}: ${errors}`)),
    )
  })
  // Whoever kills it while it starts does not wait for this.
  listening.catch(() => {})
  return {
    hostToken: createHash('sha256').update(dataDir).digest('hex'),
    process: child,
    listening,
    errors: () => errors,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    async usage() {
      child.send('usage')
      const [usage] = (await once(child, 'message')) as [ProcessUsage]
      return usage
    },
  }
}

export async function spawnRelay(dataDir: string, options: SpawnOptions = {}): Promise<RelayProcess> {
  const relay = launchRelay(dataDir, options)
  return { ...relay, url: await relay.listening }
}
