import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { specOfConfig } from '../families/index.ts'
import { parseSafetensors } from '../formats/safetensors.ts'
import { sha256Hex } from '../sha256.ts'
import { readDocuments } from '../text/documents.ts'
import { createTokenizer } from '../text/tokenizer.ts'
import { windows } from '../text/windows.ts'
import { baseDigest, catalog, DEFAULT_MODEL_ID, describeFiles, findModel, samples } from './catalog.ts'

const read = (path: string) => new Uint8Array(readFileSync(new URL(path, import.meta.url)))
const json = (path: string) => JSON.parse(new TextDecoder().decode(read(path)))

const embedded = catalog.filter(({ origin }) => origin === null)

describe.each(embedded.map((entry) => [entry.id, entry] as const))('the embedded model %s', (id, entry) => {
  const files = new Map(entry.files.map(({ name }) => [name, read(`${id}/${name}`)]))

  it('has the files the catalog lists', () => {
    expect(entry.files).toEqual(describeFiles(files))
    expect(entry.digest).toBe(baseDigest(entry.files))
  })

  it('has a card with its licence', () => {
    expect(new TextDecoder().decode(read(`${id}/README.md`))).toContain(entry.license.split('-')[0])
  })

  it('counts its parameters', () => {
    const { tensors } = parseSafetensors(read(`${id}/model.safetensors`))
    let parameters = 0
    for (const { shape } of tensors.values()) parameters += shape.reduce((product, size) => product * size, 1)
    expect(parameters).toBe(entry.parameters)
  })

  it('has a configuration and a tokenizer that fit', () => {
    const spec = specOfConfig(json(`${id}/config.json`))
    expect(spec.family).toBe(entry.family)
    const files = {
      tokenizer: json(`${id}/tokenizer.json`),
      config: entry.files.some(({ name }) => name === 'tokenizer_config.json')
        ? json(`${id}/tokenizer_config.json`)
        : {},
    }
    expect(() => spec.opening(files)).not.toThrow()
  })
})

it.each(catalog)('names $id by its files, a licence and where they come from', (entry) => {
  expect(entry.digest).toBe(baseDigest(entry.files))
  expect(entry.license).toMatch(/^[A-Za-z0-9.-]+$/)
  expect(entry.origin).not.toBe('')
  for (const { bytes, sha256 } of entry.files) {
    expect(bytes).toBeGreaterThan(0)
    expect(sha256).toMatch(/^[0-9a-f]{64}$/)
  }
})

it('knows its default model and no other name', () => {
  expect(findModel(DEFAULT_MODEL_ID)?.id).toBe(DEFAULT_MODEL_ID)
  expect(findModel('constructor')).toBeUndefined()
})

describe('baseDigest', () => {
  const files = catalog[0].files

  it('does not depend on the order of the files or of their members', () => {
    const turned = [...files].reverse().map(({ name, bytes, sha256 }) => ({ sha256, bytes, name }))
    expect(baseDigest(turned)).toBe(baseDigest(files))
  })

  it('is another for other files', () => {
    expect(baseDigest(files.slice(1))).not.toBe(baseDigest(files))
    expect(baseDigest(files.map((file) => ({ ...file, bytes: file.bytes + 1 })))).not.toBe(baseDigest(files))
  })
})

describe('the samples', () => {
  it('are the texts in their folder, one an author', () => {
    const present = readdirSync(new URL('samples/', import.meta.url)).filter((name) => name.endsWith('.txt'))
    expect(samples.map(({ file }) => file).sort()).toEqual(present.sort())
    expect(new Set(samples.map(({ author }) => author)).size).toBe(samples.length)
    expect(samples).toHaveLength(6)
  })

  it.each(samples.map((sample) => [sample.title, sample] as const))(
    '%s is as listed and trainable',
    (_, sample) => {
      const bytes = read(`samples/${sample.file}`)
      expect([bytes.length, sha256Hex(bytes)]).toEqual([sample.bytes, sample.sha256])
      expect(sample.bytes).toBeGreaterThan(24_000)
      expect(sample.bytes).toBeLessThan(30_000)
      expect(sample.license).toBe('public domain')
      const tokenizer = createTokenizer(json('tiny/tokenizer.json'), json('tiny/tokenizer_config.json'))
      expect(windows(readDocuments(sample.file, bytes).documents, tokenizer, 256).length).toBeGreaterThan(25)
    },
  )
})
