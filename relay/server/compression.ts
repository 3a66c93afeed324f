/**
 * Compresses the page's files: 3 MB of scripts and wasm become 0.9 MB, which is what a class on one access point
 * waits for. Brotli where the browser takes it (over HTTPS and on localhost), else gzip; each file once, then from
 * memory. For the page alone: a model's files are noise to a compressor, and are fetched by range.
 */
import { extname } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

export type ContentCoding = 'br' | 'gzip'

/** Images and fonts are compressed already. */
const COMPRESSIBLE = new Set([
  '.css',
  '.html',
  '.js',
  '.json',
  '.map',
  '.mjs',
  '.svg',
  '.txt',
  '.wasm',
  '.webmanifest',
])

/** Below one network packet nothing is gained. */
const LEAST_BYTES = 1024

/** A file is in memory while it is compressed; the page's largest is 0.5 MB. Larger ones are sent as they are. */
const MOST_BYTES = 8 * 1024 * 1024

/** Compressed files kept: the whole page in both codings takes 2 MB, and half the bound may be an older build. */
export const MAX_KEPT_BYTES = 16 * 1024 * 1024

/** On the page's scripts: 1 % larger than at 9, in half the time. */
const BROTLI_QUALITY = 7

const compressors: { readonly [C in ContentCoding]: (bytes: Uint8Array) => Promise<Uint8Array> } = {
  br: (bytes) =>
    promisify(brotliCompress)(bytes, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength,
      },
    }),
  gzip: (bytes) => promisify(gzip)(bytes),
}

/** Whether answers for this file depend on Accept-Encoding. */
export function isCompressible(path: string, fileBytes: number): boolean {
  return COMPRESSIBLE.has(extname(path)) && fileBytes >= LEAST_BYTES && fileBytes <= MOST_BYTES
}

/** What the Accept-Encoding header (RFC 9110, section 12.5.3) allows; brotli unless gzip is preferred by weight. */
export function chooseCoding(acceptEncoding: string | undefined): ContentCoding | null {
  const weights = new Map<string, number>()
  for (const part of (acceptEncoding ?? '').toLowerCase().split(',')) {
    const [, coding, weight] = /^\s*([a-z0-9*-]+)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?$/.exec(part) ?? []
    if (coding !== undefined) weights.set(coding, Number(weight ?? 1))
  }
  const weightOf = (coding: ContentCoding) => weights.get(coding) ?? weights.get('*') ?? 0
  const br = weightOf('br')
  const gzip = weightOf('gzip')
  if (Math.max(br, gzip) === 0) return null
  return br >= gzip ? 'br' : 'gzip'
}

/** Compressed files by name and content, the least recently used dropped first. */
export class CompressedFiles {
  /** In the order of last use. */
  readonly #kept = new Map<string, Uint8Array>()
  /** A class that opens the page at once compresses it once. */
  readonly #underWay = new Map<string, Promise<Uint8Array>>()
  readonly #maxKeptBytes: number
  #keptBytes = 0

  constructor(maxKeptBytes = MAX_KEPT_BYTES) {
    this.#maxKeptBytes = maxKeptBytes
  }

  get keptBytes(): number {
    return this.#keptBytes
  }

  /** `contentKey` names path and content; `read` is called only if they are not at hand. */
  get(contentKey: string, coding: ContentCoding, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const key = `${coding} ${contentKey}`
    const kept = this.#kept.get(key)
    if (kept) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return Promise.resolve(kept)
    }
    const underWay = this.#underWay.get(key)
    if (underWay) return underWay
    const compressed = this.#compress(key, coding, read).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, compressed)
    return compressed
  }

  async #compress(key: string, coding: ContentCoding, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const bytes = await compressors[coding](await read())
    this.#kept.set(key, bytes)
    this.#keptBytes += bytes.byteLength
    for (const [oldest, { byteLength }] of this.#kept) {
      if (this.#keptBytes <= this.#maxKeptBytes) break
      this.#kept.delete(oldest)
      this.#keptBytes -= byteLength
    }
    return bytes
  }
}
