#!/usr/bin/env node
/**
 * The command `oneround`, and what the npm scripts call: loads the TypeScript sources through tsx in this one
 * process (a second process would double the start-up time). In a clone it first makes sure that what it needs
 * is installed and built, also where npm is told to skip pre-scripts (`ignore-scripts`); an installed package
 * brings its page along and has nothing to prepare.
 */
import fs from 'node:fs'
import { fileURLToPath } from 'node:url'

const lockfile = new URL('../package-lock.json', import.meta.url)
const bootstrap = new URL('../scripts/bootstrap.mjs', import.meta.url)

try {
  // npm never packs a lockfile, so its presence tells a clone from an installed package.
  if (fs.existsSync(lockfile)) {
    const { prepare } = await import(bootstrap.href)
    await prepare({ page: process.argv[2] === 'host' })
  }
} catch (error) {
  process.stderr.write(`oneround: ${error.message}\n`)
  process.exit(1)
}
const { register } = await import('tsx/esm/api')
register()
const main = new URL('../relay/cli/main.ts', import.meta.url)
// Programs look at argv[1] to learn whether they were started or imported.
process.argv[1] = fileURLToPath(main)
await import(main.href)
