import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { build, type Plugin, type Rolldown } from 'vite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { workerRunsOnce } from './worker-runs-once.ts'

/** A page with a worker that shares a module with what it loads later. */
const SOURCES = {
  'page.js': `new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })`,
  'worker.js': `import { shared } from './shared.js'
    onmessage = async () => postMessage((await import('./later.js')).answer(shared.length))`,
  'shared.js': `export const shared = [Math.random()]`,
  'later.js': `import { shared } from './shared.js'
    export const answer = (length) => shared.length === length`,
}

let folder: string
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-worker-'))
  for (const [name, text] of Object.entries(SOURCES)) fs.writeFileSync(path.join(folder, name), text)
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

/** Which file of the worker imports which, as [importer, imported] without hashes. */
async function importsOf(plugins: readonly Plugin[]): Promise<string[][]> {
  const found: string[][] = []
  const bare = (name: string) => path.basename(name).replace(/-[\w-]{8}\.js$/, '')
  const look: Plugin = {
    name: 'look',
    generateBundle(_, bundle: Rolldown.OutputBundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== 'chunk') continue
        for (const name of [...file.imports, ...file.dynamicImports])
          found.push([bare(file.fileName), bare(name)])
      }
    },
  }
  await build({
    root: folder,
    configFile: false,
    logLevel: 'silent',
    build: { write: false, rolldownOptions: { input: path.join(folder, 'page.js') } },
    worker: { format: 'es', plugins: () => [look, ...plugins] },
  })
  return found
}

it('moves what a worker shares with its later files out of its own', async () => {
  // What it is there to prevent.
  expect(await importsOf([])).toContainEqual(['later', 'worker'])
  const imports = await importsOf([workerRunsOnce()])
  expect(imports).toContainEqual(['worker', 'later'])
  expect(imports.filter(([, imported]) => imported === 'worker')).toEqual([])
})

it('breaks off a build in which a file still imports the worker’s', async () => {
  const { options: _, ...checkOnly } = workerRunsOnce()
  await expect(importsOf([checkOnly])).rejects.toThrow(/imports .*worker-.*, which WebKit/)
})
