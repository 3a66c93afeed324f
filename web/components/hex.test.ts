import { expect, it } from 'vitest'
import { hexDump } from './hex.ts'

it('shows offset, bytes and ASCII, the last line as long as the others', () => {
  const bytes = new TextEncoder().encode('safetensors, 0–1')
  expect(hexDump(bytes)).toBe(
    [
      '000000  73 61 66 65 74 65 6e 73 6f 72 73 2c 20 30 e2 80  safetensors, 0..',
      '000010  93 31                                            .1',
    ].join('\n'),
  )
  expect(hexDump(new Uint8Array())).toBe('')
})
