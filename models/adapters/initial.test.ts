import { describe, expect, it } from 'vitest'
import { bytesOf } from '../formats/safetensors.ts'
import { sha256Hex } from '../sha256.ts'
import type { AdapterShape } from './adapter.ts'
import { initialAdapter } from './initial.ts'
import { RandomStream } from './random.ts'

const shape: AdapterShape = {
  rank: 3,
  alpha: 6,
  modules: [
    { name: 'base_model.model.m0', inFeatures: 7, outFeatures: 5 },
    { name: 'base_model.model.m1', inFeatures: 192, outFeatures: 64 },
  ],
}

describe('initialAdapter', () => {
  const adapter = initialAdapter(shape, 'room')

  it('has the shape asked for, in its order, and B = 0', () => {
    expect([...adapter.modules.keys()]).toEqual(['base_model.model.m0', 'base_model.model.m1'])
    const m0 = adapter.modules.get('base_model.model.m0')!
    expect(m0).toMatchObject({ rank: 3, alpha: 6, inFeatures: 7, outFeatures: 5 })
    expect(m0.a).toHaveLength(21)
    expect(m0.b).toEqual(new Float32Array(15))
  })

  it('draws A from the stream of its tensor name', () => {
    for (const { name, inFeatures, a } of adapter.modules.values()) {
      const stream = new RandomStream('room', `${name}.lora_A.weight`)
      const bound = 1 / Math.sqrt(inFeatures)
      for (const value of a) expect(value).toBe(Math.fround((2 * stream.nextFloat() - 1) * bound))
    }
  })

  it('fills the interval of PEFT evenly', () => {
    const { a } = adapter.modules.get('base_model.model.m1')!
    const scaled = Array.from(a, (value) => value * Math.sqrt(192))
    expect(Math.max(...scaled)).toBeLessThan(1)
    expect(Math.min(...scaled)).toBeGreaterThanOrEqual(-1)
    const variance = scaled.reduce((sum, value) => sum + value * value, 0) / scaled.length
    expect(variance).toBeCloseTo(1 / 3, 1)
  })

  it('is the same bits every time, and other bits from another seed', () => {
    const digest = (seed: string) =>
      sha256Hex(bytesOf(initialAdapter(shape, seed).modules.get('base_model.model.m1')!.a))
    expect(digest('room')).toBe(digest('room'))
    expect(digest('room')).not.toBe(digest('another'))
    // Fixed, because clients of different versions must agree.
    expect(digest('room')).toBe('8046c08a4ec3c2cd568e0acc9ce8b0127b6f307f524cf1f336ce06035590251d')
  })
})
