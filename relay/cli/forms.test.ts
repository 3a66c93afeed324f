/** Rooms whose clients train B or a core alone, from the host's option to the merged version, and training alone. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startOf } from '../../models/adapters/initial.ts'
import { updateBytes as mostBytes } from '../../models/adapters/update-codec.ts'
import type { Manifest } from '../protocol/index.ts'
import { readAdapterFolder } from './files.ts'
import { host, runJson } from './testing/run-cli.ts'

const sample = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../models/catalog/samples/${name}.txt`, import.meta.url)), 'utf8')

let folder: string
let text: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-forms-'))
  text = path.join(folder, 'poe.txt')
  writeFileSync(text, sample('poe').slice(0, 3000))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SMALL = ['--steps', '4', '--batch', '2', '--length', '32']

/** A over the whole adapter, as bytes to compare. */
const everyA = async (dir: string) =>
  [...(await readAdapterFolder(dir)).modules.values()].map(({ a }) =>
    Buffer.from(a.buffer).toString('base64'),
  )

describe.each(['ffa', 'lora-sb'] as const)('a room that trains %s', (form) => {
  it('takes two updates of that form and publishes their exact mean', async () => {
    const dataDir = path.join(folder, `room-${form}`)
    // Fewer steps may, in an unlucky order, end above the start.
    const room = [
      '--data-dir',
      dataDir,
      '--form',
      form,
      '--steps',
      '10',
      ...SMALL.slice(2),
      '--publish-every',
      '2',
    ]
    const relay = await host(...room)
    const out = path.join(folder, `merged-${form}`)
    let manifest: Manifest
    let start: Uint8Array | null = null
    try {
      manifest = await (await fetch(`${relay.answer.url}/api/rooms/main/manifest`)).json()
      expect(manifest).toMatchObject({ adapter: { form }, strategy: { id: form } })
      if (manifest.adapter.start) {
        const url = `${relay.answer.url}/models/${manifest.base.digest}/${manifest.adapter.start.name}`
        start = new Uint8Array(await (await fetch(url)).arrayBuffer())
      }
      const join = ['join', relay.answer.url, '--data', text, '--backend', 'wasm']
      const first = await runJson(...join)
      expect(first).toMatchObject({ status: 0, answer: { receipt: { contribution: 1 } } })
      const second = await runJson(...join, '--wait', '--out', out)
      expect(second).toMatchObject({ status: 0, answer: { merged: { version: 1, contributions: 2 } } })
      const { loss, updateBytes } = second.answer
      expect(loss.own).toBeLessThan(loss.base)
      expect(loss.merged).toBeLessThan(loss.base)
      expect(manifest.update.encoding).toBe(form === 'ffa' ? 'i8' : 'f16')
      expect(updateBytes).toBeLessThanOrEqual(mostBytes(manifest.adapter, manifest.update.encoding))
      const share = form === 'ffa' ? 0.6 : 0.3
      expect(updateBytes).toBeLessThan(share * mostBytes({ ...manifest.adapter, form: 'lora' }, 'i8'))
    } finally {
      await relay.stop()
    }
    // What nobody trains is published as everyone started.
    const initial = startOf(manifest.adapter, manifest.adapter.seed, start)
    const starts = [...initial.modules.values()].map(({ a }) => Buffer.from(a.buffer).toString('base64'))
    expect((await everyA(out)).sort()).toEqual(starts.sort())
    // Started again, also by options left out, the room is the same and keeps its start file.
    const again = await host('--data-dir', dataDir)
    expect(again.answer.manifestDigest).toBe(relay.answer.manifestDigest)
    await again.stop()
  }, 60_000)
})

describe('train --form', () => {
  const train = (name: string, ...options: string[]) =>
    runJson(
      'train',
      '--data',
      text,
      '--out',
      path.join(folder, name),
      '--backend',
      'wasm',
      '--seed',
      's',
      ...SMALL,
      ...options,
    )

  it.each(['ffa', 'lora-sb'])(
    '%s learns, and its folder is plain LoRA of the same loss',
    async (form) => {
      const { status, answer } = await train(`own-${form}`, '--form', form)
      expect(status).toBe(0)
      expect(answer.loss.own).toBeLessThan(answer.loss.base)
      const measured = await runJson(
        ...['eval', '--data', text, '--adapter', answer.dir, '--held-out', '--length', '32'],
        ...['--backend', 'wasm'],
      )
      expect(measured.answer.loss).toBeCloseTo(answer.loss.own, 5)
    },
    60_000,
  )

  it('twice under one seed gives the same bytes, in parts the same loss', async () => {
    const first = await train('once')
    const second = await train('twice')
    const bytes = ({ answer }: typeof first) =>
      readFileSync(path.join(answer.dir, 'adapter_model.safetensors'))
    expect(bytes(second)).toEqual(bytes(first))
    const parts = await train('parts', '--micro-batch', '1')
    expect(parts.answer.loss.own).toBeCloseTo(first.answer.loss.own, 4)
  }, 60_000)

  it('says when no step beats the start, and keeps the start', async () => {
    const { answer, stderr } = await train('hot', '--learning-rate', '9')
    expect(answer.loss.own).toBe(answer.loss.base)
    expect(answer.bestStep).toBe(0)
    expect(stderr).toContain('No step did better')
  }, 60_000)
})
