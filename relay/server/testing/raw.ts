/** Bytes on a bare TCP connection: what no well-behaved HTTP or WebSocket library would send. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

export function openRaw(relayUrl: string): Promise<Socket> {
  const { hostname, port } = new URL(relayUrl)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => resolve(socket))
    socket.once('error', reject)
  })
}

/**
 * Sends the bytes and returns what came back until the other side closed (or `limitMs` passed). `isLast` says that
 * nothing more will come, upon which the other side closes after its answer.
 */
export async function exchangeRaw(
  relayUrl: string,
  bytes: string | Uint8Array,
  { limitMs = 3000, isLast = false } = {},
): Promise<string> {
  const socket = await openRaw(relayUrl)
  const answer: Buffer[] = []
  socket.on('data', (part) => answer.push(part))
  // A relay that hangs up while we still write is one of the right answers.
  socket.on('error', () => {})
  if (isLast) socket.end(bytes)
  else socket.write(bytes)
  await closed(socket, limitMs)
  return Buffer.concat(answer).toString('latin1')
}

async function closed(socket: Socket, limitMs: number): Promise<boolean> {
  const ended =
    socket.closed ||
    (await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), limitMs)
      socket.once('close', () => {
        clearTimeout(timer)
        resolve(true)
      })
    }))
  socket.destroy()
  return ended
}

/** A WebSocket opened by hand on the relay's socket.io address; `send` takes any payload. */
export async function openWebSocket(relayUrl: string, headers: Record<string, string> = {}) {
  const socket = await openRaw(relayUrl)
  socket.on('error', () => {})
  const lines = Object.entries({
    Host: new URL(relayUrl).host,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    'Sec-WebSocket-Version': '13',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  const response = new Promise<string>((resolve) =>
    socket.once('data', (data) => resolve(data.toString('latin1'))),
  )
  socket.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n${lines.join('')}\r\n`)
  const status = (await response).split('\r\n', 1)[0]!
  const received: Buffer[] = []
  socket.on('data', (data) => {
    received.push(data)
    // The relay said goodbye and waits for ours, which this client never says.
    if (hasCloseFrame(Buffer.concat(received))) socket.destroy()
  })
  return {
    socket,
    status,
    send: (payload: Uint8Array | string) => socket.write(frame(payload)),
    /** Whether the relay ends the connection within the limit. */
    endedByRelay: (limitMs: number) => closed(socket, limitMs),
  }
}

/** Walks over the relay's (unmasked) frames; true if one of them is a close frame. */
function hasCloseFrame(bytes: Buffer): boolean {
  for (let at = 0; at + 2 <= bytes.length; ) {
    if ((bytes[at]! & 0x0f) === 8) return true
    const short = bytes[at + 1]!
    if (short < 126) at += 2 + short
    else if (short === 126 && at + 4 <= bytes.length) at += 4 + bytes.readUInt16BE(at + 2)
    else return false
  }
  return false
}

/** One final frame of RFC 6455, masked as a client's must be. */
function frame(payload: Uint8Array | string): Buffer {
  const isText = typeof payload === 'string'
  const bytes = Buffer.from(payload as Uint8Array)
  const head = Buffer.alloc(10)
  head[0] = 0x80 | (isText ? 1 : 2)
  head[1] = 0x80 | 127
  head.writeBigUInt64BE(BigInt(bytes.length), 2)
  const mask = randomBytes(4)
  return Buffer.concat([head, mask, bytes.map((byte, i) => byte ^ mask[i % 4]!)])
}
