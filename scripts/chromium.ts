/**
 * Finds a Chromium for the end-to-end tests and the demo, wherever this machine keeps one, and installs one
 * where it is allowed to. The order: CHROMIUM_PATH, Playwright's own download, the system's; then
 * `playwright install chromium`, which needs the internet; then apt, as root on Debian or Ubuntu.
 */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** No browser, and none could be installed. */
export class ChromiumMissingError extends Error {
  readonly code = 'chromium/missing'
  constructor(tried: readonly string[]) {
    super(
      `no working Chromium found (tried ${tried.join(', ')}): install Chromium or Chrome, or set CHROMIUM_PATH.`,
    )
    this.name = 'ChromiumMissingError'
  }
}

const SYSTEM_NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']

const SYSTEM_PATHS: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: [
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ],
  win32: [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)'], process.env.LOCALAPPDATA]
    .filter((folder) => folder !== undefined)
    .map((folder) => path.join(folder, 'Google\\Chrome\\Application\\chrome.exe')),
}

/** An installation that fails by waiting for a network that is not there should not take the whole test run. */
const INSTALL_TIMEOUT_MS = 240_000

const isRoot = () => process.getuid?.() === 0
const canUseApt = () => isRoot() && fs.existsSync('/usr/bin/apt-get')

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

function onPath(name: string): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    if (folder !== '' && isExecutable(path.join(folder, name))) return path.join(folder, name)
  }
  return undefined
}

/** True if it really starts: Ubuntu's chromium-browser may be a stub, and a download may lack libraries. */
function works(executable: string): boolean {
  if (!isExecutable(executable)) return false
  // Chrome on Windows opens a window instead of printing its version.
  if (process.platform === 'win32') return true
  return spawnSync(executable, ['--version'], { stdio: 'ignore', timeout: 20_000 }).status === 0
}

async function playwrightsOwn(): Promise<string | undefined> {
  const { chromium } = await import('playwright')
  try {
    return chromium.executablePath()
  } catch {
    // Playwright has no build for this platform.
    return undefined
  }
}

function systems(): string | undefined {
  const candidates = [...SYSTEM_NAMES.map(onPath), ...(SYSTEM_PATHS[process.platform] ?? [])]
  return candidates.find((file) => file !== undefined && works(file))
}

/** Runs an installer with its words on stderr; false if it failed or took too long. */
function install(program: string, args: readonly string[]): Promise<boolean> {
  process.stderr.write(`oneround: ${[path.basename(program), ...args].join(' ')}\n`)
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 2, 2],
      timeout: INSTALL_TIMEOUT_MS,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
    child.on('error', () => resolve(false))
    child.on('exit', (code) => resolve(code === 0))
  })
}

const playwrightCli = () => fileURLToPath(new URL('../node_modules/playwright/cli.js', import.meta.url))

/**
 * Path of a Chromium that starts. With `install: false` it only looks.
 * Throws ChromiumMissingError, whose message names what was tried.
 */
export async function findChromium(options: { install?: boolean } = {}): Promise<string> {
  const named = process.env.CHROMIUM_PATH
  if (named !== undefined && named !== '') {
    if (works(named)) return named
    throw new ChromiumMissingError([`CHROMIUM_PATH=${named}`])
  }
  const own = await playwrightsOwn()
  if (own !== undefined && works(own)) return own
  const system = systems()
  if (system !== undefined) return system
  const tried = ["Playwright's own", `${SYSTEM_NAMES.join(', ')} on the PATH`]
  if (options.install === false) throw new ChromiumMissingError(tried)

  if (own !== undefined) {
    tried.push('`npx playwright install chromium`')
    if (await install(process.execPath, [playwrightCli(), 'install', 'chromium'])) {
      if (works(own)) return own
      if (canUseApt() && (await install(process.execPath, [playwrightCli(), 'install-deps', 'chromium']))) {
        if (works(own)) return own
      }
    }
  }
  if (canUseApt()) {
    tried.push('`apt-get install chromium`')
    await install('/usr/bin/apt-get', ['update', '-qq'])
    await install('/usr/bin/apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'])
    const installed = systems()
    if (installed !== undefined) return installed
  }
  throw new ChromiumMissingError(tried)
}

/**
 * Switches that give a headless Chromium a WebGPU adapter on any machine: SwiftShader, which runs real WGSL on
 * the processor. Right for correctness, wrong for speed.
 */
export function softwareWebGpuFlags(): string[] {
  return [
    '--enable-unsafe-webgpu',
    '--use-webgpu-adapter=swiftshader',
    // Chromium's sandbox refuses to start as root, which is what containers run as.
    ...(isRoot() ? ['--no-sandbox'] : []),
  ]
}

/** The same for WebGL, which Chromium otherwise no longer gives to pages on a machine without a GPU. */
export function softwareWebGlFlags(): string[] {
  return ['--use-angle=swiftshader', '--enable-unsafe-swiftshader']
}
