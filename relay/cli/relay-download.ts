/** The base model's files and the start file from a relay, each believed only once its size and digest are the manifest's. */
import { createHash } from 'node:crypto'
import { lookAhead } from '../../models/catalog/look-ahead.ts'
import { type Manifest, ProtocolError } from '../protocol/index.ts'
import type { Console } from './console.ts'

/** The start file of a room that has one; null otherwise. Throws ProtocolError as `downloadModel`. */
export async function downloadStart(
  relayUrl: string,
  { base, adapter: { start } }: Manifest,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  if (!start) return null
  const url = modelUrl(relayUrl, base, start.name)
  const content = await download(url, start.bytes, signal, () => {})
  if (createHash('sha256').update(content).digest('hex') !== start.sha256)
    throw new ProtocolError('network/download')
  return content
}

/** The model to be downloaded, to look into before; null for a small one. */
export const modelAhead = (relayUrl: string, { base }: Manifest, signal: AbortSignal) =>
  lookAhead(base.files, (file) => modelUrl(relayUrl, base, file.name).href, { signal })

const modelUrl = (relayUrl: string, { digest }: Manifest['base'], name: string) =>
  new URL(`/models/${digest}/${name}`, relayUrl)

/** File name -> bytes. Throws ProtocolError `network/unreachable` or `network/download`. */
export async function downloadModel(
  relayUrl: string,
  { base }: Manifest,
  console: Console,
  signal: AbortSignal,
): Promise<Map<string, Uint8Array>> {
  const total = base.files.reduce((sum, { bytes }) => sum + bytes, 0)
  const progress = console.progress(`Loading ${base.id}`, total, 'bytes')
  const files = new Map<string, Uint8Array>()
  let done = 0
  try {
    for (const { name, bytes, sha256 } of base.files) {
      const url = modelUrl(relayUrl, base, name)
      const content = await download(url, bytes, signal, (count) => progress.update(done + count))
      if (createHash('sha256').update(content).digest('hex') !== sha256)
        throw new ProtocolError('network/download')
      done += bytes
      files.set(name, content)
    }
    progress.finish()
    return files
  } catch (error) {
    progress.abort()
    throw error
  }
}

async function download(
  url: URL,
  bytes: number,
  signal: AbortSignal,
  onProgress: (count: number) => void,
): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { signal })
    if (!response.ok || !response.body) throw new ProtocolError('network/download')
    const content = new Uint8Array(bytes)
    let filled = 0
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
      // Checked before it is kept: a relay may send more than it announced.
      if (filled + part.length > bytes) throw new ProtocolError('network/download')
      content.set(part, filled)
      filled += part.length
      onProgress(filled)
    }
    if (filled !== bytes) throw new ProtocolError('network/download')
    return content
  } catch (error) {
    if (error instanceof ProtocolError || signal.aborted) throw error
    throw new ProtocolError('network/unreachable', undefined, { cause: error })
  }
}
