import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { CompressedFiles, chooseCoding, isCompressible } from './compression.ts'

describe('which coding', () => {
  it.each([
    [undefined, null],
    ['', null],
    ['identity', null],
    ['gzip', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['GZIP;Q=1.0', 'gzip'],
    ['br;q=0, gzip', 'gzip'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['*', 'br'],
    ['*;q=0', null],
    ['br;q=0, *', 'gzip'],
    ['gzip;q=0, br;q=0', null],
    ['gzip;q=2, x-gzip, brr', null],
    ['gzip;level=9', null],
  ])('%s: %s', (header, coding) => {
    expect(chooseCoding(header)).toBe(coding)
  })

  it('leaves images, tiny files and huge ones as they are', () => {
    expect(isCompressible('a/b.js', 5000)).toBe(true)
    expect(isCompressible('a/b.wasm', 5000)).toBe(true)
    expect(isCompressible('a/b.png', 5000)).toBe(false)
    expect(isCompressible('a/b', 5000)).toBe(false)
    expect(isCompressible('a/b.js', 100)).toBe(false)
    expect(isCompressible('a/b.json', 100_000_000)).toBe(false)
  })
})

describe('compressed files', () => {
  const text = (name: string) => Buffer.from(`${name} `.repeat(1000))

  it('are made once, however many ask at the same time', async () => {
    const files = new CompressedFiles()
    let reads = 0
    const read = async () => {
      reads++
      return text('a')
    }
    const answers = await Promise.all([files.get('a', 'gzip', read), files.get('a', 'gzip', read)])
    answers.push(await files.get('a', 'gzip', read))
    for (const bytes of answers) expect(gunzipSync(bytes).equals(text('a'))).toBe(true)
    expect(reads).toBe(1)
    await files.get('a', 'br', read)
    expect(reads).toBe(2)
  })

  it('are asked for again after a failure', async () => {
    const files = new CompressedFiles()
    await expect(
      files.get('a', 'br', async () => {
        throw new Error('disk')
      }),
    ).rejects.toThrow('disk')
    expect((await files.get('a', 'br', async () => text('a'))).byteLength).toBeGreaterThan(0)
  })

  it('stay within the bound, the least recently used going first', async () => {
    const oneBytes = (await new CompressedFiles().get('a', 'gzip', async () => text('a'))).byteLength
    const files = new CompressedFiles(2 * oneBytes)
    const reads: string[] = []
    const get = (name: string) =>
      files.get(name, 'gzip', async () => {
        reads.push(name)
        return text(name)
      })
    for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await get(name)
    expect(reads).toEqual(['a', 'b', 'c', 'b'])
    expect(files.keptBytes).toBeLessThanOrEqual(2 * oneBytes)
  })
})
