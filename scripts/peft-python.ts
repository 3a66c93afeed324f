/**
 * A Python with `peft` and python-socketio in a virtual environment of the project's own (.cache/peft-venv), made on first use. Not
 * every machine has Python, gigabytes to spare and a package index; whoever asks gets a reason to skip then.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'

/** Pinned, so that a failure tells of a change here and not of one there. */
const REQUIREMENTS = [
  'torch==2.13.0',
  'transformers==5.23.0',
  'peft==0.21.2',
  'python-socketio[client]==5.14.3',
]

/** PyTorch is the better part of a gigabyte, several with the libraries it brings on Linux. */
const INSTALL_TIMEOUT_MS = 15 * 60_000
const NEEDED_BYTES = 8e9

const folder = path.resolve(import.meta.dirname, '../.cache/peft-venv')
const record = path.join(folder, 'oneround-requirements.txt')
const python = path.join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')

export type PeftPython = { readonly python: string } | { readonly missing: string }

function run(
  program: string,
  args: readonly string[],
  timeout: number,
): Promise<{ ok: boolean; words: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout })
    let words = ''
    child.stderr.on('data', (chunk) => {
      words += chunk
    })
    child.on('error', (error) => resolve({ ok: false, words: error.message }))
    child.on('close', (code, signal) => resolve({ ok: code === 0, words: signal ?? words.trim() }))
  })
}

const lastLine = (words: string) => words.split('\n').at(-1) ?? ''

/** The Python to use, or why there is none. Never throws for what a machine may lack. */
export async function peftPython(): Promise<PeftPython> {
  const wanted = `${REQUIREMENTS.join('\n')}\n`
  if (fs.existsSync(record) && fs.readFileSync(record, 'utf8') === wanted) return { python }
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(path.dirname(folder), { recursive: true })
  const { bavail, bsize } = fs.statfsSync(path.dirname(folder))
  if (bavail * bsize < NEEDED_BYTES) {
    return { missing: `PyTorch and peft need ${NEEDED_BYTES / 1e9} GB of disk, which are not free` }
  }
  const made = await run(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', folder], 120_000)
  if (!made.ok) return { missing: `no Python with venv: ${lastLine(made.words)}` }
  process.stderr.write('Installing PyTorch and peft for Python (the first time only; minutes) …\n')
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...REQUIREMENTS]
  const installed = await run(python, pip, INSTALL_TIMEOUT_MS)
  if (!installed.ok) return { missing: `peft could not be installed: ${lastLine(installed.words)}` }
  fs.writeFileSync(record, wanted)
  return { python }
}
