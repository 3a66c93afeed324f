import { describe, expect, it } from 'vitest'
import { readPicture } from './read-picture.ts'
import { expected, pictureFile, SIDE } from './testing/fixtures.ts'
import { nodeWebpModule } from './webp-node.ts'

const read = (bytes: Uint8Array, side = SIDE) => readPicture(bytes, side, nodeWebpModule)

describe('a picture file', () => {
  it.each([...expected.keys()])('%s is read as Pillow reads it', async (name) => {
    const { width, height, tolerance, pixels } = expected.get(name)!
    const picture = await read(pictureFile(name))
    expect(picture).toMatchObject({ kind: name.split('.').pop(), width, height })
    const wanted = Buffer.from(pixels, 'base64')
    expect(picture.pixels).toHaveLength(wanted.length)
    const errors = Array.from(picture.pixels, (byte, i) => Math.abs(byte - wanted[i]))
    expect(Math.max(...errors)).toBeLessThanOrEqual(tolerance)
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThanOrEqual(tolerance / 10)
  })

  it.each([
    ['animated.png', 'picture/animated'],
    ['animated.webp', 'picture/animated'],
    ['picture.gif', 'picture/unsupported'],
    ['picture.bmp', 'picture/unsupported'],
    ['picture.avif', 'picture/unsupported'],
  ])('%s is refused as %s', async (name, code) => {
    await expect(read(pictureFile(name))).rejects.toMatchObject({ code })
  })
})
