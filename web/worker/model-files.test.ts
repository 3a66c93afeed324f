import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ModelSources } from '../../models/catalog/model-files.ts'
import { sha256Hex } from '../../models/sha256.ts'
import type { Digest } from '../../relay/protocol/canonical.ts'
import { PageError } from '../state/problems.ts'
import type { ModelProgress, ModelRequest } from './api.ts'
import { type FetchOptions, fetchModelFiles } from './model-files.ts'

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

const fetchAll = (options: Partial<FetchOptions> = {}, of = base) =>
  fetchModelFiles(of, undefined, {
    check: async () => {},
    onProgress: () => {},
    onRequest: () => {},
    ...options,
  })

describe('the base model’s files', () => {
  it('come from the relay, are checked and kept', async () => {
    const progress: ModelProgress[] = []
    const answered: ModelRequest[] = []
    const { files, report } = await fetchAll({
      onProgress: (entry) => progress.push(entry),
      onRequest: (request) => answered.push(request),
    })
    expect([...files.base.keys()]).toEqual(['config.json', 'model.safetensors'])
    expect(files.base.get('model.safetensors')).toEqual(weights)
    expect(requests).toEqual([
      `/models/${base.digest}/config.json`,
      `/models/${base.digest}/model.safetensors`,
    ])
    expect(report).toMatchObject({ totalBytes: 5017, cachedBytes: 0, downloadedBytes: 5017, kept: true })
    expect(answered).toEqual(requests.map((path, i) => ({ path, bytes: [17, 5000][i] })))
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

  it('are looked into before a large one is downloaded, and not at all where there is no room', async () => {
    const large = {
      ...base,
      files: [file('config.json', config), { ...file('model.safetensors', weights), bytes: 20e6 }],
    }
    const ranges: string[] = []
    const answered = fetch
    vi.stubGlobal('fetch', async (path: string, init?: RequestInit) => {
      const range = new Headers(init?.headers).get('range')
      if (range === null) return answered(path)
      ranges.push(`${path.split('/').at(-1)} ${range}`)
      const headers = { 'content-range': 'bytes 0-65535/20000000', 'content-length': '65536' }
      return new Response(new Uint8Array(65_536), { status: 206, headers })
    })
    const onRequest = vi.fn()
    const refuse = async (sources: ModelSources) => {
      expect((await sources.get('model.safetensors')!.read(8, 4)).length).toBe(4)
      throw new PageError('model/too-large', 'no room')
    }
    await expect(fetchAll({ check: refuse, onRequest }, large)).rejects.toMatchObject({
      code: 'model/too-large',
    })
    expect(ranges).toEqual(['model.safetensors bytes=0-65535'])
    expect(onRequest.mock.calls).toEqual([
      [{ path: `/models/${base.digest}/model.safetensors`, bytes: 65_536 }],
    ])
    expect(requests).toEqual([])
    expect(kept.size).toBe(0)
  })

  it('are checked whole before a small one is loaded', async () => {
    const seen: string[][] = []
    await fetchAll({ check: async (sources) => void seen.push([...sources.keys()]) })
    expect(seen).toEqual([['config.json', 'model.safetensors']])
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
    const onRequest = vi.fn()
    await expect(fetchAll({ onRequest })).rejects.toMatchObject({ code: 'model/interrupted' })
    expect(onRequest.mock.lastCall).toEqual([expect.objectContaining({ bytes: 100 })])
  })

  it('say when the relay does not have them', async () => {
    served.delete('config.json')
    await expect(fetchAll()).rejects.toMatchObject({ code: 'model/unavailable' })
  })
})
