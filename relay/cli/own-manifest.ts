/** Reads a room's manifest from the relay this very process runs. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { MAX_MANIFEST_BYTES, type Manifest, ProtocolError, parseManifest } from '../protocol/index.ts'

export async function ownManifest(relayUrl: string, room: string): Promise<Manifest> {
  const url = new URL(`/api/rooms/${room}/manifest`, relayUrl)
  const body = await new Promise<string>((resolve, reject) => {
    // It is this process that answers: whom the certificate names does not matter.
    const send = url.protocol === 'https:' ? requestHttps : requestHttp
    const request = send(url, { rejectUnauthorized: false }, async (response) => {
      try {
        let text = ''
        response.setEncoding('utf8')
        for await (const part of response) {
          text += part
          if (text.length > MAX_MANIFEST_BYTES) throw new ProtocolError('manifest/malformed')
        }
        if (response.statusCode !== 200) throw new ProtocolError('room/unknown')
        resolve(text)
      } catch (error) {
        reject(error)
      }
    })
    request.on('error', reject)
    request.end()
  })
  return parseManifest(JSON.parse(body))
}
