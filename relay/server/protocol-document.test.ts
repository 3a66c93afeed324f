/** docs/protocol.md is what authors of other clients read: its lists, limits and test vectors are held to the code. */
import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import type { AdapterForm } from '../../models/adapters/adapter.ts'
import { initialAdapter } from '../../models/adapters/initial.ts'
import { philox4x32, seedKey } from '../../models/adapters/random.ts'
import { encodeUpdate, type UpdateEncoding } from '../../models/adapters/update-codec.ts'
import { canonicalJson, digestOf, digestOfText } from '../protocol/canonical.ts'
import { ERROR_CODES, sentenceFor } from '../protocol/errors.ts'
import * as limits from '../protocol/limits.ts'
import { parseManifest } from '../protocol/manifest.ts'
import {
  clientEvents,
  receiptSchema,
  relayEvents,
  statusSchema,
  versionSchema,
} from '../protocol/messages.ts'
import { strategySchema } from '../protocol/strategy.ts'

let text: string
beforeAll(async () => {
  text = await readFile(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
})

const hex = (word: number) => word.toString(16).padStart(8, '0')
const float = (x: number) => hex(new Uint32Array(Float32Array.of(x).buffer)[0]!)

describe('docs/protocol.md', () => {
  it('lists every error code with its sentence, and no other', () => {
    const rows = [...text.matchAll(/^\| `([a-z]+\/[a-z-]+)` \| (.+) \|$/gm)].map(([, code, sentence]) => [
      code,
      sentence,
    ])
    expect(rows).toEqual(ERROR_CODES.map((code) => [code, sentenceFor(code)]))
  })

  it('lists every limit with its value', () => {
    const rows = [...text.matchAll(/^\| `([A-Z_]+)` \| ([0-9,]+) \|/gm)].map(([, name, value]) => [
      name,
      Number(value!.replaceAll(',', '')),
    ])
    expect(Object.fromEntries(rows)).toEqual({ ...limits })
  })

  it('names every event and every field', () => {
    for (const event of Object.keys(clientEvents)) expect(text).toContain(`**\`${event}\`** `)
    for (const event of Object.keys(relayEvents)) expect(text).toContain(`| \`${event}\` |`)
    const listed = (name: string) => new RegExp(`\\*\\*${name}\\*\\* \`\\{(.*?)\\}\`:`, 's').exec(text)![1]
    const fields = (schema: { entries: object }) => Object.keys(schema.entries).join(', ')
    expect(listed('receipt')).toBe(fields(receiptSchema))
    expect(listed('version')).toBe(`${fields(versionSchema)}: [{name, bytes, sha256}]`)
    expect(listed('status')).toBe(fields(statusSchema))
  })

  it('lists every strategy with its settings', () => {
    const common = ['lambda', 'clip', 'rank', 'tau']
    for (const name of common) expect(text).toContain(`\`${name}?\``)
    const table = /^\| `strategy\.id` .*?\n\n/ms.exec(text)![0]
    const rows = [...table.matchAll(/^\| `([a-z-]+)` \| (.*?) ?\| /gm)].map(([, id, settings]) => [
      id,
      settings!.replaceAll('`', ''),
    ])
    const schemas = strategySchema.options.map(({ entries }) => {
      const settings = Object.entries(entries)
        // What every strategy may have is said once; a row names what it must have, or has alone.
        .filter(([name, entry]) => name !== 'id' && !(common.includes(name) && entry.type === 'optional'))
        .map(([name, entry]) => (entry.type === 'optional' ? `${name}?` : name))
      return [entries.id.literal, settings.join(', ')]
    })
    expect(rows).toEqual(schemas)
  })

  it('shows a manifest of the right form', () => {
    const example = /```json\n(.*?)```/s.exec(text)![1]!.replaceAll('"…"', `"${'0'.repeat(64)}"`)
    expect(parseManifest(JSON.parse(example)).room).toBe('class-7b')
  })

  it('gives the right test vectors', () => {
    const canonical = canonicalJson({ b: [2, 'x'], a: 1 })
    expect(text).toContain(`becomes \`${canonical}\` with\ndigest \`${digestOfText(canonical)}\``)
    const vectors = [
      ...text.matchAll(
        /^\| `((?:[0-9a-f]{8} ){3}[0-9a-f]{8})` \| `([0-9a-f ]{17})` \| `([0-9a-f ]{35})` \|$/gm,
      ),
    ]
    expect(vectors).toHaveLength(3)
    const words = (row: string) => row.split(' ').map((word) => Number.parseInt(word, 16))
    for (const [, counter, key, output] of vectors) {
      const out = new Uint32Array(4)
      philox4x32(words(counter!) as [number, number, number, number], words(key!) as [number, number], out)
      expect([...out].map(hex).join(' ')).toBe(output)
    }
    expect(text).toContain(`label \`initial\`: \`${seedKey('7', 'initial').map(hex).join(' ')}\``)

    const name = 'base_model.model.model.layers.0.self_attn.q_proj'
    const shape = { rank: 2, alpha: 4, modules: [{ name, inFeatures: 4, outFeatures: 3 }] }
    const key = seedKey('oneround', `${name}.lora_A.weight`)
    const a = [...initialAdapter(shape, 'oneround').modules.get(name)!.a]
    expect(text.replace(/\s+/g, ' ')).toContain(
      `key \`${key.map(hex).join(' ')}\`, A as float32 bits \`${a.map(float).join(' ')}\``,
    )

    const [, changeA, changeB] = /change A = `(.+?)`, B = `(.+?)`/.exec(text)!
    const values = (list: string) => Float32Array.from(list.split(' ').map(Number))
    const example = (
      form: AdapterForm,
      encoding: UpdateEncoding,
      change: Readonly<Record<string, Float32Array>>,
    ) => {
      const update = encodeUpdate({
        change: new Map(Object.entries(change).map(([factor, list]) => [`${name}.${factor}.weight`, list])),
        shape: { ...shape, form },
        manifestDigest: '0'.repeat(64),
        examples: 3,
        encoding,
        seed: 'rounding',
      })
      const headerBytes = Number(new DataView(update.buffer, update.byteOffset).getBigUint64(0, true))
      const data = Buffer.from(update.subarray(8 + headerBytes)).toString('hex')
      return `${update.byteLength} bytes, H = ${headerBytes}, data \`${data}\`, digest \`${digestOf(update)}\``
    }
    const [, changeR] = /change R = `(.+?)`/.exec(text)!
    const plain = text.replace(/\s+/g, ' ')
    expect(plain).toContain(example('lora', 'i8', { lora_A: values(changeA!), lora_B: values(changeB!) }))
    expect(plain).toContain(example('ffa', 'i8', { lora_B: values(changeB!) }))
    expect(plain).toContain(example('lora-sb', 'f16', { lora_R: values(changeR!) }))
  })
})
