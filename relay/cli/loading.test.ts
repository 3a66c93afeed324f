/** A relay holds no tensor library: `host`, `merge` and `inspect` must run where it cannot even be found. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'

const main = fileURLToPath(new URL('main.ts', import.meta.url))
const tiny = fileURLToPath(new URL('../../models/catalog/tiny/', import.meta.url))
const sample = fileURLToPath(new URL('../../models/catalog/samples/poe.txt', import.meta.url))

const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`
const hook = dataUrl(`
  export async function resolve(name, context, next) {
    if (/^@tensorflow\\/|^webgpu$/.test(name)) throw new Error('tensor library loaded: ' + name)
    return next(name, context)
  }`)
const register = dataUrl(`import { register } from 'node:module'; register(${JSON.stringify(hook)})`)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-loading-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs the command with the hook; `host` is stopped once it has answered. */
async function answer(...argv: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', '--import', register, main, ...argv, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (text.includes('\n')) child.kill('SIGTERM')
  })
  await once(child, 'close')
  return JSON.parse(stdout)
}

it('host serves a room', async () => {
  expect(await answer('host', '--port', '0', '--data-dir', folder)).toMatchObject({ room: 'main' })
}, 30_000)

it('inspect reads a model', async () => {
  expect(await answer('inspect', path.join(tiny, 'model.safetensors'))).toMatchObject({
    format: 'safetensors',
  })
}, 30_000)

it('merge gets as far as its arguments', async () => {
  expect(await answer('merge', '--out', folder, path.join(folder, 'none'))).toMatchObject({
    error: { code: 'file/missing' },
  })
}, 30_000)

it('and the hook does catch what runs a model', async () => {
  const { error } = await answer('eval', '--data', sample, '--backend', 'cpu')
  expect(error.message).toContain('tensor library loaded: @tensorflow/')
}, 30_000)
