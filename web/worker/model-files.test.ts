import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sha256Hex } from '../../models/sha256.ts'
import type { Digest } from '../../relay/protocol/canonical.ts'
import type { ModelProgress } from './api.ts'
import { fetchModelFiles } from './model-files.ts'

const config = new TextEncoder().encode('{"hidden_size":8}')
const weights = Uint8Array.from({ length: 5000 }, (_, index) => index % 251)

const file = (name: string, bytes: Uint8Array) => ({
  name,
  bytes: bytes.length,
  sha256: sha256Hex(bytes) as Digest,
})
const base = {
  id: 'small',
  family: 'llama',
  license: 'CC0-1.0',
  digest: 'b'.repeat(64) as Digest,
  files: [file('config.json', config), file('model.safetensors', weights)],
}

/** What the server has, by file name; a test may damage it. */
let served: Map<string, Uint8Array>
let requests: string[]
/** What the browser has kept. */
let kept: Map<string, Uint8Array<ArrayBuffer>>

beforeEach(() => {
  served = new Map([
    ['config.json', config],
    ['model.safetensors', weights],
  ])
  requests = []
  kept = new Map()
  vi.stubGlobal('fetch', async (path: string) => {
    requests.push(path)
    const bytes = served.get(path.split('/').at(-1) ?? '')
    return bytes ? new Response(bytes.slice()) : new Response('not there', { status: 404 })
  })
  vi.stubGlobal('caches', {
    open: async () => ({
      match: async (key: string) => (kept.has(key) ? new Response(kept.get(key)) : undefined),
      put: async (key: string, response: Response) =>
        void kept.set(key, new Uint8Array(await response.arrayBuffer())),
      delete: async (key: string) => kept.delete(key),
    }),
  })
})
afterEach(() => vi.unstubAllGlobals())

const fetchAll = () => fetchModelFiles(base, undefined, () => {})

describe('the base model’s files', () => {
  it('come from the relay, are checked and kept', async () => {
    const progress: ModelProgress[] = []
    const { files, report } = await fetchModelFiles(base, undefined, (entry) => progress.push(entry))
    expect([...files.base.keys()]).toEqual(['config.json', 'model.safetensors'])
    expect(files.base.get('model.safetensors')).toEqual(weights)
    expect(requests).toEqual([
      `/models/${base.digest}/config.json`,
      `/models/${base.digest}/model.safetensors`,
    ])
    expect(report).toMatchObject({ totalBytes: 5017, cachedBytes: 0, downloadedBytes: 5017, kept: true })
    expect(report.requests.map(({ bytes }) => bytes)).toEqual([17, 5000])
    expect(progress.at(-1)).toMatchObject({ stage: 'verifying', receivedBytes: 5017, totalBytes: 5017 })
  })

  it('are not downloaded again', async () => {
    await fetchAll()
    requests = []
    const { report } = await fetchAll()
    expect(requests).toEqual([])
    expect(report).toEqual({
      totalBytes: 5017,
      cachedBytes: 5017,
      downloadedBytes: 0,
      kept: true,
      requests: [],
    })
  })

  it('are downloaded again where the kept copy is damaged', async () => {
    await fetchAll()
    requests = []
    for (const bytes of kept.values()) if (bytes.length === weights.length) bytes[7] ^= 1
    const { files } = await fetchAll()
    expect(requests).toEqual([`/models/${base.digest}/model.safetensors`])
    expect(files.base.get('model.safetensors')).toEqual(weights)
  })

  it('are used without being kept where the browser refuses', async () => {
    vi.stubGlobal('caches', { open: () => Promise.reject(new DOMException('no', 'SecurityError')) })
    const { files, report } = await fetchAll()
    expect(files.base.size).toBe(2)
    expect(report.kept).toBe(false)
  })

  it('are refused with another content, and what had arrived whole is kept', async () => {
    served.set(
      'model.safetensors',
      weights.map((byte) => byte ^ 1),
    )
    await expect(fetchAll()).rejects.toMatchObject({ code: 'model/digest' })
    expect([...kept.values()]).toEqual([config])
  })

  it('are refused when longer than announced', async () => {
    served.set('model.safetensors', new Uint8Array(weights.length + 1))
    await expect(fetchAll()).rejects.toMatchObject({ code: 'model/length' })
  })

  it('say when the download broke off', async () => {
    served.set('model.safetensors', weights.slice(0, 100))
    await expect(fetchAll()).rejects.toMatchObject({ code: 'model/interrupted' })
  })

  it('say when the relay does not have them', async () => {
    served.delete('config.json')
    await expect(fetchAll()).rejects.toMatchObject({ code: 'model/unavailable' })
  })
})
