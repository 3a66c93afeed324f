/**
 * `npm run screenshots [FOLDER]`: pictures of every screen that participants and hosts see, of text and of pictures, in light and
 * dark, on a phone, zoomed to 200 % and with letters of twice the size, as the end-to-end tests meet them. Prints the folder; without one they go to .cache/screens.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { findChromium } from './chromium.ts'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const folder = path.resolve(process.argv[2] ?? path.join(root, '.cache/screens'))
fs.mkdirSync(folder, { recursive: true })

/** Whose ways lead past every screen. */
const TESTS = ['screens', 'host', 'pictures', 'picture-host', 'what-happened']

const vitest = path.join(root, 'node_modules/vitest/vitest.mjs')
const child = spawn(
  process.execPath,
  [vitest, 'run', '--config', 'e2e/vitest.config.ts', ...TESTS.map((name) => `e2e/${name}.test.ts`)],
  {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, CHROMIUM_PATH: await findChromium(), ONEROUND_SCREENS: folder },
  },
)
child.on('exit', (code) => {
  process.stdout.write(`${fs.readdirSync(folder).length} pictures in ${folder}\n`)
  process.exit(code ?? 1)
})
