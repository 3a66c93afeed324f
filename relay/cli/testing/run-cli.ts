/** The command line as a program sees it, in this process: one JSON object on stdout, and the exit status. */
import { expect } from 'vitest'
import { main } from '../main.ts'

class Output {
  text = ''
  readonly #heard: ((text: string) => void)[] = []
  write(text: string) {
    this.text += text
    for (const hear of this.#heard.splice(0)) hear(this.text)
  }
  next(): Promise<string> {
    return new Promise((resolve) => this.#heard.push(resolve))
  }
}

export async function run(...argv: string[]) {
  const stdout = new Output()
  const stderr = new Output()
  const status = await main(argv, new AbortController().signal, stdout, stderr)
  return { status, stdout: stdout.text, stderr: stderr.text }
}

/** Runs with --json and insists on exactly one object on one line. */
export async function runJson(...argv: string[]) {
  const { status, stdout, stderr } = await run(...argv, '--json')
  expect(stdout).toMatch(/^\{.*\}\n$/)
  expect(stderr).not.toMatch(/\n\s+at /)
  return { status, answer: JSON.parse(stdout), stderr }
}

/** A relay on a free port, until `stop`. */
export async function host(...argv: string[]) {
  const stdout = new Output()
  const stderr = new Output()
  const interrupt = new AbortController()
  const heard = stdout.next()
  const ended = main(['host', '--json', '--port', '0', ...argv], interrupt.signal, stdout, stderr)
  await Promise.race([heard, ended])
  return {
    answer: JSON.parse(stdout.text),
    stderr: () => stderr.text,
    async stop() {
      interrupt.abort()
      return { status: await ended, stdout: stdout.text }
    },
  }
}
