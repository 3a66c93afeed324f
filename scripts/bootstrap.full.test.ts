/**
 * What a newcomer does: clones, and types a command. Two commands at once, in a copy of this working tree that
 * has nothing installed; takes as long as installing takes.
 */
import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '..')
let clone: string

beforeAll(() => {
  clone = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-clone-'))
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: root })
  for (const file of listed.toString().split('\0')) {
    if (!fs.statSync(path.join(root, file), { throwIfNoEntry: false })?.isFile()) continue
    fs.mkdirSync(path.dirname(path.join(clone, file)), { recursive: true })
    fs.copyFileSync(path.join(root, file), path.join(clone, file))
  }
})

afterAll(() => fs.rmSync(clone, { recursive: true, force: true }))

function npm(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { cwd: clone, stdio: ['ignore', 'pipe', 'pipe'] })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk) => out.push(chunk))
    child.stderr.on('data', (chunk) => err.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
  })
}

describe('a fresh clone', () => {
  it('answers two commands at once with one JSON object each', async () => {
    const file = 'models/fixtures/nano/model.safetensors'
    const inspect = () => npm('run', '-s', 'cli', '--', 'inspect', file, '--json')
    for (const { code, stdout, stderr } of await Promise.all([inspect(), inspect()])) {
      expect(code, stderr).toBe(0)
      expect(Object.keys(JSON.parse(stdout)).length).toBeGreaterThan(0)
      // This machine's own npm settings aside, nothing asks the user to act.
      expect(stderr).not.toMatch(/npm warn (?!Unknown user config)/)
    }
  })

  it('builds the page on the first start', async () => {
    const { code, stderr } = await npm('run', 'build')
    expect(code, stderr).toBe(0)
    expect(fs.existsSync(path.join(clone, 'dist/page/index.html'))).toBe(true)
  })
})
