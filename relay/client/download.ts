/** Fetches a published version's PEFT folder and believes none of it until size and digest are as announced. */
import { digestOf } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { Version } from '../protocol/messages.ts'
import type { WireListener } from './wire-log.ts'

/** File name -> bytes: `adapter_config.json` and `adapter_model.safetensors`. */
export type VersionFolder = ReadonlyMap<string, Uint8Array>

/** Throws ProtocolError `network/unreachable` or `network/download`. */
export async function downloadVersion(
  relayUrl: string,
  room: string,
  version: Version,
  onWire?: WireListener,
): Promise<VersionFolder> {
  const folder = new Map<string, Uint8Array>()
  for (const { name, bytes, sha256 } of version.files) {
    const path = `/api/rooms/${room}/versions/${version.version}/${name}`
    const file = await download(new URL(path, relayUrl), bytes)
    onWire?.({ direction: 'in', name: `GET ${path}`, bytes: file.byteLength, payload: null })
    if (digestOf(file) !== sha256) throw new ProtocolError('network/download')
    folder.set(name, file)
  }
  return folder
}

/** Reads exactly so many bytes; a longer answer is cut off, not stored. */
async function download(url: URL, bytes: number): Promise<Uint8Array> {
  let response: Response
  try {
    response = await fetch(url)
  } catch (error) {
    throw new ProtocolError('network/unreachable', undefined, { cause: error })
  }
  if (!response.ok || !response.body) throw new ProtocolError('network/download')
  const file = new Uint8Array(bytes)
  let filled = 0
  try {
    const reader = response.body.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (filled + value.byteLength > bytes) {
        await reader.cancel()
        throw new ProtocolError('network/download')
      }
      file.set(value, filled)
      filled += value.byteLength
    }
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    throw new ProtocolError('network/download', undefined, { cause: error })
  }
  if (filled !== bytes) throw new ProtocolError('network/download')
  return file
}
