/**
 * Drives the bootstrap in a small project of its own, whose "vite" is a few lines beside it, so that npm needs
 * no network. The same from a real fresh clone is in bootstrap.full.test.ts.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const FAKE_VITE = `
const fs = require('node:fs')
const outDir = process.argv[process.argv.indexOf('--outDir') + 1]
fs.appendFileSync('builds.log', 'built\\n')
console.log('vite speaks on stdout')
if (fs.existsSync('web/broken.ts')) process.exit(3)
fs.mkdirSync(outDir, { recursive: true })
fs.writeFileSync(outDir + '/index.html', fs.readFileSync('web/main.ts'))
`

let project: string

const write = (file: string, text: string) => {
  fs.mkdirSync(path.dirname(path.join(project, file)), { recursive: true })
  fs.writeFileSync(path.join(project, file), text)
}
const read = (file: string) => fs.readFileSync(path.join(project, file), 'utf8')
const builds = () => read('builds.log').trim().split('\n').length

function execute(program: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

const bootstrap = (...flags: string[]) => execute(process.execPath, ['scripts/bootstrap.mjs', ...flags])

beforeEach(() => {
  project = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-bootstrap-'))
  write('scripts/bootstrap.mjs', fs.readFileSync(path.join(import.meta.dirname, 'bootstrap.mjs'), 'utf8'))
  write('vite/package.json', JSON.stringify({ name: 'vite', version: '1.0.0' }))
  write('vite/bin/vite.js', FAKE_VITE)
  write('web/main.ts', 'page one')
  const dependencies = { vite: 'file:vite' }
  write(
    'package.json',
    JSON.stringify({
      name: 'small',
      version: '1.0.0',
      scripts: { precli: 'node scripts/bootstrap.mjs', cli: `node -p "JSON.stringify({ ok: true })"` },
      dependencies,
    }),
  )
  write(
    'package-lock.json',
    JSON.stringify({
      name: 'small',
      version: '1.0.0',
      lockfileVersion: 3,
      packages: {
        '': { name: 'small', version: '1.0.0', dependencies },
        'node_modules/vite': { resolved: 'vite', link: true },
        vite: { version: '1.0.0' },
      },
    }),
  )
})

/** A project whose first run is over, made once: npm takes seconds even for nothing. */
let ready: string | undefined

async function startReady(): Promise<void> {
  if (ready === undefined) {
    const { code, stderr } = await bootstrap()
    expect(code, stderr).toBe(0)
    ready = `${project}-ready`
    fs.cpSync(project, ready, { recursive: true, verbatimSymlinks: true })
  } else {
    fs.rmSync(project, { recursive: true })
    fs.cpSync(ready, project, { recursive: true, verbatimSymlinks: true })
  }
}

afterEach(() => fs.rmSync(project, { recursive: true, force: true }))
afterAll(() => {
  if (ready !== undefined) fs.rmSync(ready, { recursive: true, force: true })
})

describe('bootstrap', () => {
  it('installs and builds in a fresh clone, and leaves stdout to the command behind it', async () => {
    const { code, stdout, stderr } = await execute('npm', ['run', '-s', 'cli'])
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ ok: true })
    expect(stderr).toMatch(/installing the dependencies/)
    expect(stderr).toMatch(/vite speaks on stdout/)
    expect(read('dist/page/index.html')).toBe('page one')

    const again = await bootstrap()
    expect(again).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(builds()).toBe(1)
  })

  it('rebuilds when a source of the page changes, not for a test', async () => {
    await startReady()
    write('web/main.test.ts', 'test')
    await bootstrap()
    expect(builds()).toBe(1)
    write('web/main.ts', 'page two')
    await bootstrap('--no-page')
    expect(builds()).toBe(1)
    const { stdout } = await bootstrap()
    expect(stdout).toBe('')
    expect(builds()).toBe(2)
    expect(read('dist/page/index.html')).toBe('page two')
    expect(fs.readdirSync(path.join(project, 'dist')).sort()).toEqual(['page', 'page.sources'])
  })

  it('installs again when the lockfile has changed', async () => {
    await startReady()
    const lock = JSON.parse(read('package-lock.json'))
    lock.packages.vite.version = '1.0.1'
    write('vite/package.json', JSON.stringify({ name: 'vite', version: '1.0.1' }))
    write('package-lock.json', JSON.stringify(lock))
    const { stderr } = await bootstrap('--no-page')
    expect(stderr).toMatch(/dependencies installed/)
  })

  it('lets two commands in a fresh clone take turns', async () => {
    const outcomes = await Promise.all([bootstrap(), bootstrap(), bootstrap()])
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0])
    expect(outcomes.filter(({ stderr }) => stderr.includes('dependencies installed'))).toHaveLength(1)
    expect(builds()).toBe(1)
  })

  it('does not wait for a process that died holding the lock', async () => {
    await startReady()
    write('web/main.ts', 'page two')
    write('.cache/bootstrap.lock', 'left behind')
    const longAgo = new Date(Date.now() - 60_000)
    fs.utimesSync(path.join(project, '.cache/bootstrap.lock'), longAgo, longAgo)
    expect((await bootstrap()).code).toBe(0)
    expect(fs.readdirSync(path.join(project, '.cache'))).toEqual([])
  })

  it('says what failed, keeps the page there was, and tries again next time', async () => {
    await startReady()
    write('web/broken.ts', '')
    const failed = await bootstrap()
    expect(failed.code).toBe(1)
    expect(failed.stdout).toBe('')
    expect(failed.stderr).toMatch(/oneround: building the page failed \(exit code 3\)/)
    expect(read('dist/page/index.html')).toBe('page one')
    fs.rmSync(path.join(project, 'web/broken.ts'))
    write('web/main.ts', 'page three')
    expect((await bootstrap()).code).toBe(0)
    expect(read('dist/page/index.html')).toBe('page three')
  })

  it('names the Node that is needed', async () => {
    const { checkNodeVersion } = await import('./bootstrap.mjs')
    for (const version of ['20.19.0', '20.20.2', '22.12.0', '24.0.0']) checkNodeVersion(version)
    for (const version of ['18.20.0', '20.18.3', '21.7.0', '22.11.0']) {
      expect(() => checkNodeVersion(version)).toThrow(/install Node 20\.19 or newer/)
    }
  })
})
