import { describe, expect, it } from 'vitest'
import { wholeFile } from '../../models/formats/byte-source.ts'
import { modelFiles } from '../../models/testing/fixtures.ts'
import type { Manifest } from '../../relay/protocol/manifest.ts'
import { windowsFor } from './model-room.ts'

const sources = new Map([...modelFiles('tiny')].map(([name, bytes]) => [name, wholeFile(bytes)]))
const manifest = { adapter: { rank: 8 }, recipe: { batch: 8, tokens: 256 } } as Manifest
const device = (totalBytes: number | null) =>
  ({ executor: 'plan', room: { largestBytes: 2 ** 31, totalBytes } }) as const

describe('room for what a room asks', () => {
  it('is there for a batch, or for parts of one', async () => {
    expect(await windowsFor(sources, manifest, 'train', device(null))).toBe(8)
    const parts = await windowsFor(sources, manifest, 'train', device(60e6))
    expect(parts).toBeGreaterThanOrEqual(1)
    expect(parts).toBeLessThan(8)
  })

  it('is told in one sentence where there is none: how much is missing, and what to ask the host for', async () => {
    await expect(windowsFor(sources, manifest, 'train', device(10e6))).rejects.toMatchObject({
      code: 'model/too-large',
      message: expect.stringMatching(
        /Training in this room needs 1\d\.?\d* MB of memory, and this device gives 10\.?0? MB; join from another device, or ask the host for windows of \d+ tokens and rank 8\.$/,
      ),
    })
    await expect(windowsFor(sources, manifest, 'train', device(1e6))).rejects.toThrow(/a smaller model\.$/)
  })

  it('is less where the model is only measured', async () => {
    const needsMost = 10e6
    await expect(windowsFor(sources, manifest, 'train', device(needsMost))).rejects.toThrow()
    expect(await windowsFor(sources, manifest, 'measure', device(needsMost))).toBeGreaterThanOrEqual(1)
  })
})
