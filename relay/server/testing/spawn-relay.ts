/** Starts relay-process.ts and waits until it listens. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'

export interface RelayProcess {
  readonly url: string
  readonly hostToken: string
  readonly process: ChildProcess
  /** SIGKILL: no handler runs, nothing is flushed. */
  kill(): Promise<void>
}

export async function spawnRelay(
  dataDir: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<RelayProcess> {
  const script = fileURLToPath(new URL('./relay-process.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, dataDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  })
  let errors = ''
  child.stderr.on('data', (part) => {
    errors += part
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line) => resolve(String(line).trim()))
    child.once('exit', (code) => reject(new Error(`the relay ended with ${code}: ${errors}`)))
  })
  return {
    url,
    hostToken: createHash('sha256').update(dataDir).digest('hex'),
    process: child,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
