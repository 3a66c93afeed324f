/**
 * Makes a fresh clone ready before any npm script runs: installs the locked dependencies when they are missing
 * or stale, and builds the page when its sources have changed. It runs on nothing but Node, because it runs
 * before anything is installed, and it speaks on stderr only, because the commands behind it promise exactly
 * one JSON object on stdout.
 *
 * node scripts/bootstrap.mjs [--no-page] [--build]     --build rebuilds the page even if it is up to date
 */
import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')

/** What the page is built from. Tests and their fixtures are not part of it. */
const PAGE_SOURCES = [
  'index.html',
  'vite.config.ts',
  'scripts/offline-page.ts',
  'scripts/worker-runs-once.ts',
  'package-lock.json',
  'web',
  'models',
  'lab/leak',
  'relay/aggregation',
  'relay/client',
  'relay/protocol',
  'relay/server/headers.ts',
]
const PAGE_DIR = 'dist/page'
const PAGE_RECORD = 'dist/page.sources'
const INSTALL_RECORD = 'node_modules/.oneround-lock'
const LOCK_FILE = '.cache/bootstrap.lock'
/** The holder touches the lock every second; one untouched for this long was left by a process that died. */
const LOCK_STALE_MS = 15_000

class BootstrapError extends Error {}

const at = (relative) => path.join(root, relative)
const say = (text) => process.stderr.write(`oneround: ${text}\n`)

function readText(relative) {
  try {
    return fs.readFileSync(at(relative), 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Vite and the TypeScript loader need a Node that can require ES modules: 20.19, 22.12 or any later line. */
export function checkNodeVersion(version = process.versions.node) {
  const [major, minor] = version.split('.').map(Number)
  const fits = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
  if (!fits) {
    throw new BootstrapError(
      `Node ${version} is too old: please install Node 20.19 or newer of that line, or 22.12 or newer.`,
    )
  }
}

/** Digest of what decides node_modules: the lockfile and the dependency lists, not the scripts beside them. */
function dependencyDigest() {
  const { dependencies, devDependencies, optionalDependencies, overrides } = JSON.parse(
    fs.readFileSync(at('package.json'), 'utf8'),
  )
  return createHash('sha256')
    .update(fs.readFileSync(at('package-lock.json')))
    .update(JSON.stringify([dependencies, devDependencies, optionalDependencies, overrides]))
    .digest('hex')
}

/** True if npm itself has installed exactly what the lockfile says (someone ran `npm ci` by hand). */
function installedByHand() {
  const installed = readText('node_modules/.package-lock.json')
  if (installed === undefined) return false
  let have
  try {
    have = JSON.parse(installed).packages
  } catch {
    return false
  }
  const want = JSON.parse(fs.readFileSync(at('package-lock.json'), 'utf8')).packages
  for (const [name, entry] of Object.entries(want)) {
    if (name === '') continue
    const found = have[name]
    if (found === undefined ? !entry.optional : found.version !== entry.version) return false
  }
  return Object.keys(have).every((name) => want[name] !== undefined)
}

function dependenciesReady() {
  const digest = dependencyDigest()
  if (readText(INSTALL_RECORD) === digest) return true
  if (!installedByHand()) return false
  fs.writeFileSync(at(INSTALL_RECORD), digest)
  return true
}

function* filesUnder(relative) {
  const stat = fs.statSync(at(relative), { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isDirectory()) {
    yield relative
    return
  }
  const entries = fs.readdirSync(at(relative), { withFileTypes: true })
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const child = `${relative}/${entry.name}`
    if (entry.isDirectory()) {
      if (entry.name !== 'fixtures') yield* filesUnder(child)
    } else if (!entry.name.includes('.test.')) {
      yield child
    }
  }
}

function pageDigest() {
  const hash = createHash('sha256')
  for (const source of PAGE_SOURCES) {
    for (const file of filesUnder(source)) {
      const bytes = fs.readFileSync(at(file))
      hash.update(`${file}\n${bytes.length}\n`).update(bytes)
    }
  }
  return hash.digest('hex')
}

const pageReady = () => fs.existsSync(at(`${PAGE_DIR}/index.html`)) && readText(PAGE_RECORD) === pageDigest()

/** Runs a program with everything it says on stderr. */
function run(program, args, what) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: root,
      stdio: ['ignore', 2, 2],
      shell: process.platform === 'win32' && program === 'npm',
    })
    child.on('error', (error) => reject(new BootstrapError(`${what} did not start: ${error.message}.`)))
    child.on('exit', (code, signal) => {
      if (code === 0) resolve()
      else
        reject(new BootstrapError(`${what} failed (${signal ?? `exit code ${code}`}); its words are above.`))
    })
  })
}

const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`

async function installDependencies() {
  const started = Date.now()
  say('installing the dependencies (the first time only; about a minute) …')
  // npm tells its scripts where it lives, so that the same npm is used even where it is not on the PATH.
  const npmCli = process.env.npm_execpath
  const [program, first] =
    npmCli !== undefined && /npm-cli\.js$/.test(npmCli) ? [process.execPath, [npmCli]] : ['npm', []]
  await run(
    program,
    // No dependency needs its install script: esbuild and webgpu ship their binaries in the package itself.
    [...first, 'ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'],
    'installing the dependencies with `npm ci`',
  )
  fs.writeFileSync(at(INSTALL_RECORD), dependencyDigest())
  say(`dependencies installed in ${seconds(started)}`)
}

/** Builds beside the present page and swaps, so that a relay that is running never serves half a page. */
async function buildPage() {
  const started = Date.now()
  say('building the page …')
  const digest = pageDigest()
  const fresh = 'dist/page.new'
  const old = 'dist/page.old'
  fs.rmSync(at(fresh), { recursive: true, force: true })
  fs.rmSync(at(old), { recursive: true, force: true })
  await run(
    process.execPath,
    [
      at('node_modules/vite/bin/vite.js'),
      'build',
      '--outDir',
      at(fresh),
      '--emptyOutDir',
      '--logLevel',
      'warn',
    ],
    'building the page',
  )
  fs.rmSync(at(PAGE_RECORD), { force: true })
  if (fs.existsSync(at(PAGE_DIR))) fs.renameSync(at(PAGE_DIR), at(old))
  fs.renameSync(at(fresh), at(PAGE_DIR))
  fs.writeFileSync(at(PAGE_RECORD), digest)
  fs.rmSync(at(old), { recursive: true, force: true })
  say(`page built in ${seconds(started)}`)
}

const ageMs = (file) => Date.now() - (fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())

/** Moves a stale lock away. Of several that try, one succeeds; a lock renewed meanwhile is put back. */
function breakLock(file, aside) {
  try {
    fs.renameSync(file, aside)
    if (ageMs(aside) <= LOCK_STALE_MS) fs.linkSync(aside, file)
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error
  } finally {
    fs.rmSync(aside, { force: true })
  }
}

/** Takes the lock if it is free or was left behind; returns how to give it back, or undefined. */
function tryLock() {
  const file = at(LOCK_FILE)
  const token = randomUUID()
  try {
    fs.writeFileSync(file, token, { flag: 'wx' })
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (ageMs(file) > LOCK_STALE_MS) breakLock(file, `${file}.${token}`)
    return undefined
  }
  const heartbeat = setInterval(() => {
    const now = new Date()
    fs.utimes(file, now, now, () => {})
  }, 1000)
  return () => {
    clearInterval(heartbeat)
    if (readText(LOCK_FILE) === token) fs.rmSync(file, { force: true })
  }
}

async function lock() {
  fs.mkdirSync(path.dirname(at(LOCK_FILE)), { recursive: true })
  for (let said = false; ; said = true) {
    const release = tryLock()
    if (release !== undefined) return release
    if (!said) say('another command is preparing this folder; waiting for it …')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/**
 * Brings the folder into the state the other scripts need. Quick (no lock, no child process) when nothing is
 * to be done. Two commands at once in a fresh clone take turns; the second finds the work done.
 */
export async function prepare({ page = true, rebuild = false } = {}) {
  checkNodeVersion()
  if (dependenciesReady() && (!page || (!rebuild && pageReady()))) return
  const release = await lock()
  try {
    if (!dependenciesReady()) await installDependencies()
    if (page && (rebuild || !pageReady())) await buildPage()
  } finally {
    release()
  }
}

if (process.argv[1] !== undefined && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const flags = process.argv.slice(2)
  try {
    await prepare({ page: !flags.includes('--no-page'), rebuild: flags.includes('--build') })
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error
    say(error.message)
    process.exitCode = 1
  }
}
