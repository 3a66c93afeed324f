/**
 * Shows everything that passes between this participant and the relay: every frame of the socket, in both
 * directions, exactly as it travels, and every download. The page's log of what was sent and the tests that search it
 * for training text read from here.
 */
import type { Manager } from 'socket.io-client'

export interface WireMessage {
  readonly direction: 'out' | 'in'
  /** The event's name; `NAME data` for its binary part; `ping`, `connect`, … for the transport's own. */
  readonly name: string
  readonly bytes: number
  /** As it travels: text frames as text, binary ones as bytes. Null where only the size is logged (downloads). */
  readonly payload: string | Uint8Array | null
}

export type WireListener = (message: WireMessage) => void

interface Frame {
  readonly type: string
  readonly data?: unknown
}

/** Listens to every connection this manager opens, from its first frame. Register before it connects. */
export function logFrames(manager: Manager, listener: WireListener): void {
  manager.on('open', () => {
    const names = { out: new FrameNames(), in: new FrameNames() }
    const tell = (direction: 'out' | 'in') => (frame: Frame) => {
      const payload = payloadOf(frame.data)
      listener({
        direction,
        name: names[direction].next(frame.type, payload),
        bytes:
          typeof payload === 'string' ? new TextEncoder().encode(payload).byteLength : payload.byteLength,
        payload,
      })
    }
    manager.engine.on('packetCreate', tell('out'))
    manager.engine.on('packet', tell('in'))
  })
}

function payloadOf(data: unknown): string | Uint8Array {
  if (data === undefined || data === null) return ''
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
  return String(data)
}

/** A binary frame has no name of its own: it belongs to the text frame before it. */
class FrameNames {
  #latest = 'message'

  next(frameType: string, payload: string | Uint8Array): string {
    if (frameType !== 'message') return frameType
    if (typeof payload !== 'string') return `${this.#latest} data`
    this.#latest = nameOf(payload)
    return this.#latest
  }
}

/** `2["NAME",…` is an event, `3[…` an ack, `5…` and `6…` the same with binary parts; 0 and 1 connect, disconnect. */
function nameOf(packet: string): string {
  const [, type, event] = /^([0-6])(?:\d+-)?(?:\d*)(?:\["((?:[^"\\]|\\.)*)")?/.exec(packet) ?? []
  switch (type) {
    case '0':
      return 'connect'
    case '1':
      return 'disconnect'
    case '2':
    case '5':
      return event ?? 'event'
    case '3':
    case '6':
      return 'ack'
    case '4':
      return 'connect error'
    default:
      return 'message'
  }
}
