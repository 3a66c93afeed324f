/** Bytes as every hex viewer shows them: offset, sixteen bytes, and their ASCII. */

const LINE_BYTES = 16

export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let start = 0; start < bytes.length; start += LINE_BYTES) {
    const line = Array.from(bytes.subarray(start, start + LINE_BYTES))
    const hex = line.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const ascii = line.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${start.toString(16).padStart(6, '0')}  ${hex.padEnd(3 * LINE_BYTES - 1)}  ${ascii}`)
  }
  return lines.join('\n')
}
