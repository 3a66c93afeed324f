/** The search for leaks itself: it must catch what it claims to, or its silence on a real run says nothing. */
import { describe, expect, it } from 'vitest'
import { LeakSearch } from './support/leaks.ts'
import { WebSocketFrames } from './support/websocket-frames.ts'

const text = 'Call me Ishmael. Some years ago — never mind how long precisely — having little or no money'
const tokens = [5, 1203, 77, 2047, 0, 31, 640, 9, 18, 1999, 3]
const search = new LeakSearch([{ name: 'novel', text, tokens }])

const noise = (bytes: number) =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 97 + 13) & 255))
const between = (planted: Buffer, before: number) => [
  noise(500),
  Buffer.concat([noise(before), planted, noise(40)]),
]

const part = text.slice(17, 41)
const bigEndian = (bytes: Buffer) => Buffer.from(bytes).swap16()
const base64 = (bytes: Buffer | string, before: number) =>
  Buffer.from(`{"x":"${Buffer.concat([noise(before), Buffer.from(bytes)]).toString('base64')}"}`)
const numbers = (width: 2 | 4, big: boolean) => {
  const run = tokens.slice(2, 10)
  const bytes = Buffer.alloc(run.length * width)
  for (const [i, id] of run.entries()) {
    if (width === 2) bytes[big ? 'writeUInt16BE' : 'writeUInt16LE'](id, i * 2)
    else bytes[big ? 'writeUInt32BE' : 'writeUInt32LE'](id, i * 4)
  }
  return bytes
}

describe('the search for leaks', () => {
  it('finds nothing where nothing is', () => {
    expect(
      search.find([noise(20_000), Buffer.from(text.slice(0, 23)), numbers(2, false).subarray(0, 14)]),
    ).toEqual([])
  })

  it.each([
    ['UTF-8', Buffer.from(part)],
    ['UTF-16LE', Buffer.from(part, 'utf16le')],
    ['UTF-16BE', bigEndian(Buffer.from(part, 'utf16le'))],
    ['token ids as u16 little-endian', numbers(2, false)],
    ['token ids as u16 big-endian', numbers(2, true)],
    ['token ids as u32 little-endian', numbers(4, false)],
    ['token ids as u32 big-endian', numbers(4, true)],
    ['token ids as decimals', Buffer.from(`[${tokens.join(', ')}]`)],
  ])('finds %s at any offset', (encoding, planted) => {
    for (const before of [0, 1, 2, 3]) {
      expect(search.find(between(planted, before)).map((leak) => leak.encoding)).toEqual([encoding])
    }
  })

  it.each([
    ['UTF-8 in base64', Buffer.from(part)],
    ['UTF-16LE in base64', Buffer.from(part, 'utf16le')],
    ['UTF-16BE in base64', bigEndian(Buffer.from(part, 'utf16le'))],
  ])('finds %s at any alignment', (encoding, planted) => {
    for (const before of [0, 1, 2]) {
      const leaks = search.find([base64(planted, before)])
      expect(leaks.map((leak) => leak.encoding)).toContain(encoding)
      expect(leaks[0].secret).toBe('novel')
    }
  })
})

describe('WebSocketFrames', () => {
  const frame = (head: number, payload: Buffer) => {
    const mask = Buffer.from([1, 2, 3, 4])
    const length =
      payload.length < 126
        ? Buffer.from([0x80 | payload.length])
        : Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 255])
    return Buffer.concat([Buffer.from([head]), length, mask, payload.map((byte, i) => byte ^ mask[i & 3])])
  }

  it('puts messages together again, however they arrive', () => {
    const big = noise(300)
    const wire = Buffer.concat([
      frame(0x81, Buffer.from('whole')),
      frame(0x02, big.subarray(0, 200)),
      frame(0x89, Buffer.from('ping')),
      frame(0x80, big.subarray(200)),
    ])
    for (const step of [1, 7, wire.length]) {
      const messages: Buffer[] = []
      const frames = new WebSocketFrames((message) => messages.push(message))
      for (let i = 0; i < wire.length; i += step) frames.read(wire.subarray(i, i + step))
      expect(messages).toEqual([Buffer.from('whole'), Buffer.from('ping'), big])
    }
  })

  it('refuses a compressed frame, whose contents it could not search', () => {
    const frames = new WebSocketFrames(() => {})
    expect(() => frames.read(frame(0xc1, Buffer.from('x')))).toThrow(/compressed/)
  })
})
