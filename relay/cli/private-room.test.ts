/** `host --dp` and `join`, from the option to the one noisy version that ends the room, with nothing of a browser. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readAdapterFolder } from './files.ts'
import { host, runJson } from './testing/run-cli.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-private-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('a participant waits for the publication at close, whose noise is what the room states', async () => {
  const text = path.join(folder, 'poe.txt')
  const sample = fileURLToPath(new URL('../../models/catalog/samples/poe.txt', import.meta.url))
  writeFileSync(text, readFileSync(sample, 'utf8').slice(0, 3000))
  const dataDir = path.join(folder, 'relay')
  const small = ['--steps', '2', '--batch', '2', '--length', '32']
  const relay = await host('--data-dir', dataDir, '--dp', '8,1e-5', '--form', 'ffa', ...small)
  const out = path.join(folder, 'merged')
  try {
    const { url, hostToken, room } = relay.answer
    const status = async () => (await fetch(`${url}/api/rooms/${room}/status`)).json()
    const joining = runJson('join', url, '--data', text, '--backend', 'wasm', '--wait', '--out', out)
    await expect.poll(async () => (await status()).contributions, { timeout: 50_000 }).toBe(1)
    const { versions, privacy } = await status()
    expect([versions, privacy]).toMatchObject([0, { epsilon: 8, delta: 1e-5, clip: 1 }])
    await fetch(`${url}/api/rooms/${room}/close`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${hostToken}` },
    })
    const { status: exit, answer } = await joining
    expect([exit, answer]).toMatchObject([0, { merged: { version: 1, contributions: 1, dir: out } }])
    // A change of two steps is short beside the noise: what is published is about as long as the noise.
    let squares = 0
    for (const { b } of (await readAdapterFolder(out)).modules.values()) {
      for (const value of b) squares += value * value
    }
    const noise = privacy.sigma * privacy.clip * Math.sqrt(privacy.numbers)
    expect(Math.sqrt(squares) / noise).toBeGreaterThan(0.9)
    expect(Math.sqrt(squares) / noise).toBeLessThan(1.1)
  } finally {
    await relay.stop()
  }
  expect(await runJson('verify', path.join(dataDir, 'rooms', relay.answer.room))).toMatchObject({ status: 0 })
}, 60_000)
