/** Takes a client's half of a WebSocket connection apart into messages (RFC 6455, section 5), unmasked. */
export class WebSocketFrames {
  #pending = Buffer.alloc(0)
  #message: Buffer[] = []
  readonly #onMessage: (payload: Buffer) => void

  constructor(onMessage: (payload: Buffer) => void) {
    this.#onMessage = onMessage
  }

  read(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk])
    while (this.#takeFrame()) {}
  }

  #takeFrame(): boolean {
    const bytes = this.#pending
    if (bytes.length < 2) return false
    if (bytes[0] & 0x70)
      throw new Error('a compressed frame: the search for leaks would not see its contents')
    const isLast = (bytes[0] & 0x80) !== 0
    const opcode = bytes[0] & 0x0f
    const isMasked = (bytes[1] & 0x80) !== 0
    let payloadBytes = bytes[1] & 0x7f
    let offset = 2
    if (payloadBytes === 126) {
      if (bytes.length < 4) return false
      payloadBytes = bytes.readUInt16BE(2)
      offset = 4
    } else if (payloadBytes === 127) {
      if (bytes.length < 10) return false
      payloadBytes = Number(bytes.readBigUInt64BE(2))
      offset = 10
    }
    const start = offset + (isMasked ? 4 : 0)
    if (bytes.length < start + payloadBytes) return false
    const payload = Buffer.from(bytes.subarray(start, start + payloadBytes))
    if (isMasked) {
      const mask = bytes.subarray(offset, offset + 4)
      for (let i = 0; i < payload.length; i++) payload[i] ^= mask[i & 3]
    }
    this.#pending = bytes.subarray(start + payloadBytes)
    // Control frames (close, ping, pong) may come between the parts of a message, and carry data of their own.
    if (opcode >= 8) {
      if (payload.length > 0) this.#onMessage(payload)
      return true
    }
    this.#message.push(payload)
    if (isLast) {
      this.#onMessage(Buffer.concat(this.#message))
      this.#message = []
    }
    return true
  }
}
