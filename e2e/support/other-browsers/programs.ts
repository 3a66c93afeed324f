/** Programs that a test starts and ends, and waiting for what they do. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'

export const WAIT_MS = 60_000
const POLL_MS = 200

export function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => path.join(folder, name)).find((file) => fs.existsSync(file))
}

/** In a group of its own: the browser's other processes end with it. */
export const start = (
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): ChildProcess =>
  spawn(program, args, { detached: true, stdio: 'ignore', env: { ...process.env, ...environment } })

export async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    child.kill('SIGKILL')
  }
  await ended
}

/** Asks until the answer is something; throws `what` after `timeoutMs`. */
export async function until<T>(
  ask: () => T | Promise<T>,
  timeoutMs = WAIT_MS,
  what = 'it does not come',
): Promise<NonNullable<T>> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (performance.now() > end) throw new Error(what)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
