import { randomBytes } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'

/** A WebSocket's opening handshake as a browser with a page of `origin` sends it; 101 if the relay takes it. */
export function handshake(address: string, origin: string): Promise<{ status: number; code?: string }> {
  return new Promise((resolve, reject) => {
    const { get } = address.startsWith('https:') ? https : http
    const request = get(address, {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
        Origin: origin,
      },
    })
    request.on('error', reject)
    request.on('upgrade', (_, socket) => {
      socket.destroy()
      resolve({ status: 101 })
    })
    request.on('response', async (response) => {
      let text = ''
      for await (const part of response) text += part
      resolve({ status: response.statusCode ?? 0, code: JSON.parse(text).error?.code })
    })
  })
}
