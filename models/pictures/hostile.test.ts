/** Files made to do harm, and good files with something changed: a named error or a picture, and never the machine's memory. */
import fs from 'node:fs'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { zlibSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { crc32 } from './crc32.ts'
import { MAX_FILE_BYTES } from './limits.ts'
import { PictureError } from './picture-errors.ts'
import { readPicture } from './read-picture.ts'
import { pictureFile, SIDE } from './testing/fixtures.ts'
import { nodeWebpModule } from './webp-node.ts'
import { writePng } from './write-png.ts'

const read = (bytes: Uint8Array) => readPicture(bytes, SIDE, nodeWebpModule)

/** A picture of the right size, or a PictureError's code. */
async function outcome(bytes: Uint8Array): Promise<string> {
  try {
    const { pixels, width, height } = await read(bytes)
    expect(pixels).toHaveLength(SIDE * SIDE * 3)
    expect(width * height).toBeGreaterThan(0)
    return 'read'
  } catch (error) {
    if (error instanceof PictureError) return error.code
    throw error
  }
}

function chunk(type: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const bytes = Buffer.alloc(body.length + 8)
  bytes.writeUInt32BE(content.length)
  body.copy(bytes, 4)
  bytes.writeUInt32BE(crc32(body), body.length + 4)
  return bytes
}

interface PngParts {
  readonly width: number
  readonly height: number
  readonly depth?: number
  readonly colour?: number
  readonly interlaced?: boolean
  readonly data: Uint8Array
  readonly before?: readonly Buffer[]
}

function png({ width, height, depth = 8, colour = 2, interlaced = false, data, before = [] }: PngParts) {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width)
  header.writeUInt32BE(height, 4)
  header.set([depth, colour, 0, 0, interlaced ? 1 : 0], 8)
  return new Uint8Array(
    Buffer.concat([
      Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
      chunk('IHDR', header),
      ...before,
      chunk('IDAT', data),
      chunk('IEND', Buffer.alloc(0)),
    ]),
  )
}

/** A jpg's or webp's bytes with its size claimed to be another. */
function claimed(name: string, patch: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const bytes = pictureFile(name)
  patch(bytes, new DataView(bytes.buffer))
  return bytes
}

const frameAt = (bytes: Uint8Array) => {
  for (let at = 2; ; at += 2 + bytes[at + 2] * 256 + bytes[at + 3]) {
    if (bytes[at + 1] >= 0xc0 && bytes[at + 1] <= 0xc2) return at
  }
}

const zeros = (bytes: number) => zlibSync(new Uint8Array(bytes))

/** Runs what must not take memory, and says how much the process grew by, in bytes. */
async function growth(job: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage()
  await job()
  const after = process.memoryUsage()
  return after.rss - before.rss
}

describe('a hostile picture', () => {
  it.each([
    ['a png of 30,000 x 30,000', png({ width: 30_000, height: 30_000, data: zeros(1000) })],
    [
      'an interlaced png of 6,000 x 6,000',
      png({ width: 6000, height: 6000, interlaced: true, data: zeros(9) }),
    ],
    ['a png of 2^32 - 1 x 1', png({ width: 0xffffffff, height: 1, data: zeros(9) })],
    [
      'a jpg of 65,535 x 65,535',
      claimed('420.jpg', (bytes, view) => {
        view.setUint32(frameAt(bytes) + 5, 0xffffffff)
      }),
    ],
    [
      'a webp of 16,384 x 16,384',
      claimed('lossless.webp', (_, view) => {
        view.setUint32(21, view.getUint32(21, true) | 0x0fffffff, true)
      }),
    ],
    ['65 MB of anything', new Uint8Array(MAX_FILE_BYTES + 1)],
  ])('that is %s is named too large, and nothing of that size is made', async (_, bytes) => {
    let code = ''
    const grown = await growth(async () => {
      code = await outcome(bytes)
    })
    expect(code).toBe('picture/too-large')
    expect(grown).toBeLessThan(50e6)
  })

  it('whose pixels cannot be in so few bytes is refused before they are made', async () => {
    const bytes = png({ width: 8000, height: 8000, data: zeros(1000) })
    let code = ''
    const grown = await growth(async () => {
      code = await outcome(bytes)
    })
    expect(code).toBe('picture/broken')
    expect(grown).toBeLessThan(50e6)
  })

  it('inflates no further than its header claims', async () => {
    // 100 MB of zeros behind a picture of 4 x 4; and in a colour profile, which is not looked at.
    const bomb = deflateSync(Buffer.alloc(100e6))
    const grown = await growth(async () => {
      expect(await outcome(png({ width: 4, height: 4, data: bomb }))).toBe('read')
      const profile = chunk('iCCP', Buffer.concat([Buffer.from('x\0\0'), bomb]))
      const small = zlibSync(new Uint8Array(4 * 13))
      expect(await outcome(png({ width: 4, height: 4, data: small, before: [profile] }))).toBe('read')
    })
    expect(grown).toBeLessThan(60e6)
  })

  it('with thousands of scans of nothing is refused in time', async () => {
    const bytes = pictureFile('large-progressive.jpg')
    const frame = frameAt(bytes)
    const view = new DataView(bytes.buffer)
    view.setUint16(frame + 5, 1000)
    view.setUint16(frame + 7, 64_000)
    const scan = Buffer.from([0xff, 0xda, 0, 8, 1, bytes[frame + 10], 0, 0, 0, 0x10])
    const refinements = Buffer.concat(Array(2000).fill(Buffer.concat([scan, Buffer.alloc(1)])))
    const file = Buffer.concat([bytes.subarray(0, frame + 2 + bytes[frame + 3] + 0), refinements])
    expect(await outcome(new Uint8Array(file))).toBe('picture/broken')
  })

  it.each([
    ['nothing', new Uint8Array(0), 'picture/empty'],
    ['text', new TextEncoder().encode('not a picture at all'), 'picture/unsupported'],
    ['only a png signature', Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), 'picture/broken'],
    ['only a jpg marker', Uint8Array.of(255, 216, 255), 'picture/broken'],
    ['only a webp tag', new TextEncoder().encode('RIFF\0\0\0\0WEBP'), 'picture/broken'],
    ['a palette that is missing', png({ width: 1, height: 1, colour: 3, data: zeros(2) }), 'picture/broken'],
    ['a depth that is none', png({ width: 1, height: 1, depth: 3, data: zeros(2) }), 'picture/broken'],
    [
      'an unknown filter',
      png({ width: 1, height: 1, data: zlibSync(Uint8Array.of(9, 0, 0, 0)) }),
      'picture/broken',
    ],
    [
      'a wrong checksum',
      claimed('rgb.png', (bytes) => {
        bytes[29] ^= 1
      }),
      'picture/broken',
    ],
  ])('of %s is named', async (_, bytes, code) => {
    expect(await outcome(bytes)).toBe(code)
  })

  const files = fs
    .readdirSync(new URL('fixtures/', import.meta.url))
    .filter(
      (name) => /\.(png|jpg|webp)$/.test(name) && !name.startsWith('turned') && !name.startsWith('large'),
    )

  it.each(files.filter((name) => !name.startsWith('animated')))('%s cut short anywhere', async (name) => {
    const bytes = pictureFile(name)
    const { pixels } = await read(bytes)
    for (let i = 1; i < 40; i++) {
      const cut = bytes.subarray(0, Math.floor((bytes.length * i) / 40))
      if ((await outcome(cut)) !== 'read') continue
      // Nothing but what follows the pixels may lack, or the last scans of a progressive jpg.
      if (name === 'progressive.jpg') expect(i).toBeGreaterThan(20)
      else expect((await read(cut)).pixels).toEqual(pixels)
    }
  })

  it('with any bytes changed, moved or doubled is read or named', async () => {
    const seen = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), byte: fc.nat(255) }), {
          maxLength: 6,
        }),
        fc.nat(3),
        fc.boolean(),
        async (name, changes, cut, mend) => {
          let bytes = pictureFile(name)
          for (const { at, byte } of changes) bytes[Math.floor(at * (bytes.length - 1))] = byte
          const middle = Math.floor(bytes.length / 2)
          if (cut === 1)
            bytes = Uint8Array.from([...bytes.subarray(0, middle), ...bytes.subarray(middle - 20)])
          if (cut === 2)
            bytes = Uint8Array.from([...bytes.subarray(0, middle), ...bytes.subarray(middle + 20)])
          // Past the checksums, or they would be all that is tested.
          if (mend && name.endsWith('.png')) mendChecksums(bytes)
          const code = await outcome(bytes)
          seen.set(code, (seen.get(code) ?? 0) + 1)
        },
      ),
      { numRuns: 1500 },
    )
    expect(seen.get('read')).toBeGreaterThan(50)
    expect(seen.get('picture/broken')).toBeGreaterThan(50)
  })

  it('of pure chance behind a good beginning is read or named', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('rgb.png', '420.jpg', 'progressive.jpg', 'lossy.webp', 'lossless.webp'),
        fc.double({ min: 0.05, max: 0.9, noNaN: true }),
        fc.uint8Array({ minLength: 1, maxLength: 400 }),
        async (name, share, tail) => {
          const good = pictureFile(name)
          const head = good.subarray(0, Math.floor(good.length * share))
          const bytes = Uint8Array.from([...head, ...tail])
          if (name.endsWith('.webp')) new DataView(bytes.buffer).setUint32(4, bytes.length - 8, true)
          await outcome(bytes)
        },
      ),
      { numRuns: 500 },
    )
  })
})

function mendChecksums(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer)
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 8 + view.getUint32(at)
    if (end + 4 > bytes.length) return
    view.setUint32(end, crc32(bytes.subarray(at + 4, end)))
    at = end + 4
  }
}

it('a webp without its decoder is named, and read once it is there', async () => {
  const bytes = pictureFile('lossy.webp')
  // Whatever was loaded before is thrown away by a broken file.
  const broken = bytes.slice()
  broken.fill(255, 40)
  await read(broken).catch(() => {})
  const offline = readPicture(bytes, SIDE, () => Promise.reject(new TypeError('Failed to fetch')))
  await expect(offline).rejects.toMatchObject({ code: 'picture/decoder' })
  expect((await read(bytes)).width).toBe(41)
})

describe('a picture as a square', () => {
  it('is the same whatever metadata its file has', async () => {
    const turned = pictureFile('turned-1.jpg')
    expect(Buffer.from(turned).includes('Secret Camera')).toBe(true)
    const { pixels } = await read(turned)
    expect(Buffer.from(writePng(pixels, SIDE, SIDE)).includes('Secret')).toBe(false)
  })
})
