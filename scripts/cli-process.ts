/** The command line as a process of its own, for what drives several of them: the demo and the lab. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../bin/oneround.mjs', import.meta.url))

export interface CommandPlace {
  /** Stands before its errors. */
  readonly name: string
  readonly signal: AbortSignal
  /** Given each line that it says on stderr. */
  readonly say: (line: string) => void
  /** Processes under way, for whoever has to end them. */
  readonly children?: Set<ChildProcess>
}

/** Runs one command with --json and returns its answer. Throws the command's own error with its code. */
export async function runCommand<T>(args: readonly string[], place: CommandPlace): Promise<T> {
  const { name, signal, say, children } = place
  signal.throwIfAborted()
  const child = spawn(process.execPath, [program, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
  children?.add(child)
  const stop = () => child.kill()
  signal.addEventListener('abort', stop, { once: true })
  try {
    createInterface({ input: child.stderr }).on('line', say)
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
    children?.delete(child)
    signal.removeEventListener('abort', stop)
  }
}
