/** What the Dockerfile takes for granted of the package; building it needs Docker, which is not everywhere. */
import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { checkNodeVersion } from './bootstrap.mjs'

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')
const dockerfile = read('Dockerfile')
const { bin, files, name, scripts } = JSON.parse(read('package.json'))
const array = (instruction: string): string[] =>
  JSON.parse(new RegExp(`^${instruction} (\\[.*\\])$`, 'm').exec(dockerfile)![1]!)

it('builds and runs on a Node that the program takes', () => {
  const versions = [...dockerfile.matchAll(/^FROM node:(\d+)-bookworm-slim/gm)].map(([, major]) => major)
  expect(versions).toHaveLength(2)
  // The image's tag is the newest of its line.
  for (const major of versions) expect(() => checkNodeVersion(`${major}.99.0`)).not.toThrow()
})

it('builds and packs what package.json names, and starts its command', () => {
  expect(dockerfile).toContain('npm run build && npm pack --ignore-scripts')
  expect(scripts.build).toBeDefined()
  expect(dockerfile).toContain(`${name}-*.tgz`)
  const [program] = Object.keys(bin)
  expect(array('ENTRYPOINT')).toEqual(['node', `/program/node_modules/.bin/${program}`])
  expect(existsSync(new URL(`../${bin[program!]}`, import.meta.url))).toBe(true)
  expect(files).toEqual(expect.arrayContaining(['bin', 'dist/page', 'models', 'relay']))
  // What is left out of the context is made inside, or is the host's own.
  const ignored = read('.dockerignore').trim().split('\n')
  expect(ignored).toEqual(expect.arrayContaining(['node_modules', 'dist', 'oneround-data']))
  for (const needed of ['bin', 'models', 'relay', 'web', 'scripts', 'package-lock.json'])
    expect(ignored).not.toContain(needed)
})

it('listens, exposes and asks for health on one port, and keeps its data in the volume', () => {
  const command = array('CMD')
  const port = command[command.indexOf('--port') + 1]
  expect(command).toEqual(['host', '--lan', '--port', port, '--data-dir', '/data'])
  expect(dockerfile).toMatch(new RegExp(`^EXPOSE ${port}$`, 'm'))
  expect(dockerfile).toContain(`http://127.0.0.1:${port}/readyz`)
  expect(dockerfile).toMatch(/^VOLUME \/data$/m)
  expect(dockerfile).toMatch(/^USER node$/m)
})
