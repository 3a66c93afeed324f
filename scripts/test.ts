/**
 * The one command that checks everything: `npm test`. Types, lint and format, unit tests, the page's build, and
 * the end-to-end tests in a real Chromium; `--full` adds the long ones (*.full.test.ts). It goes on after a
 * failure, so that one run shows all there is to mend, and its last line is `N passed, N failed`, where a step
 * without tests of its own (types, lint, build) counts as one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { findChromium } from './chromium.ts'
import { countResults, type TestCounts } from './test-counts.ts'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const full = process.argv.includes('--full')
/** The whole of `npm test` takes less than ten minutes on a quiet machine; a step that takes this long hangs. */
const STEP_TIMEOUT_MS = full ? 60 * 60_000 : 20 * 60_000

const tool = (relative: string) => path.join(root, 'node_modules', relative)
const TSC = tool('typescript/bin/tsc')
const BIOME = tool('@biomejs/biome/bin/biome')
const VITEST = tool('vitest/vitest.mjs')

let running: ChildProcess | undefined
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    running?.kill(signal)
    process.exit(130)
  })
}

/** Runs a tool of this project; true if it exits with 0 in time. */
function run(args: readonly string[], environment: Record<string, string> = {}): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        ...(full && { ONEROUND_FULL: '1', ONEROUND_SCREENS: path.join(root, '.cache/screens') }),
        ...environment,
      },
      timeout: STEP_TIMEOUT_MS,
    })
    running = child
    child.on('error', () => resolve(false))
    child.on('exit', (code, signal) => {
      if (signal !== null) process.stdout.write(`ended by ${signal}\n`)
      resolve(code === 0)
    })
  })
}

const onePassed: TestCounts = { passed: 1, failed: 0, skipped: 0 }
const oneFailed: TestCounts = { passed: 0, failed: 1, skipped: 0 }
const check = async (...args: string[]) => ((await run(args)) ? onePassed : oneFailed)

/** Vitest shows its progress itself; what it counted comes from its report. */
async function vitest(
  name: string,
  config: string,
  environment: Record<string, string>,
): Promise<TestCounts> {
  const report = path.join(root, '.cache', `${name}-tests.json`)
  fs.mkdirSync(path.dirname(report), { recursive: true })
  fs.rmSync(report, { force: true })
  const args = [
    'run',
    '--config',
    config,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]
  const succeeded = await run([VITEST, ...args], environment)
  if (!fs.existsSync(report)) return oneFailed
  return countResults(JSON.parse(fs.readFileSync(report, 'utf8')), succeeded)
}

/** Before all tests: end-to-end ones drive it, and its software graphics driver runs the WebGPU unit tests. */
async function browser(): Promise<TestCounts> {
  process.env.CHROMIUM_PATH = await findChromium()
  return onePassed
}

const steps: ReadonlyArray<readonly [string, () => Promise<TestCounts>]> = [
  ['types', () => check(TSC, '--noEmit')],
  ['lint and format', () => check(BIOME, 'check', '--error-on-warnings', '.')],
  ['browser', browser],
  ['unit tests', () => vitest('unit', 'vitest.config.ts', {})],
  ['page', () => check('scripts/bootstrap.mjs', '--build')],
  ['end-to-end tests', () => vitest('e2e', 'e2e/vitest.config.ts', {})],
]

const total = { passed: 0, failed: 0, skipped: 0 }
const failedSteps: string[] = []
for (const [name, step] of steps) {
  const started = performance.now()
  process.stdout.write(`\n== ${name}\n`)
  let counts: TestCounts
  try {
    counts = await step()
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`)
    counts = oneFailed
  }
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped += counts.skipped
  if (counts.failed > 0) failedSteps.push(name)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stdout.write(
    `-- ${name}: ${counts.failed === 0 ? 'ok' : `${counts.failed} failed`} in ${seconds} s\n`,
  )
}
if (failedSteps.length > 0) process.stdout.write(`\nTo mend: ${failedSteps.join(', ')}\n`)
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`)
process.exit(total.failed > 0 ? 1 : 0)
