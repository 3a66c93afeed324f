import { describe, expect, it } from 'vitest'
import { review } from '../strings/review.ts'
import { exposures, isEncrypted } from './exposure.ts'

describe('who could reconstruct an update', () => {
  it('follows from how the room publishes', () => {
    expect(exposures({ publishEvery: 1 }, true)[1]).toEqual({ to: 'participants', how: 'each' })
    expect(exposures({ publishEvery: 3 }, true)[1]).toEqual({ to: 'participants', how: 'batch', every: 3 })
    const mode = { kind: 'rounds', rounds: 2, quorum: 3, deadlineSeconds: 60, late: 'next' } as const
    expect(exposures({ publishEvery: 3, mode }, true)[1]).toEqual({
      to: 'participants',
      how: 'round',
      quorum: 3,
    })
    const privacy = { epsilon: 2, delta: 1e-5, clip: 1 }
    expect(exposures({ publishEvery: 1, privacy }, true)[1]).toMatchObject({ how: 'private', epsilon: 2 })
  })

  it('says of a private room what epsilon is worth with the contributions there are', () => {
    const privacy = { epsilon: 8, delta: 1e-5, clip: 1 }
    const told = (noiseToClip: number | null) => {
      const figures = { ...privacy, sigma: 0.6, numbers: 460_800, noiseToClip, equalAt: 408 }
      return review.who(exposures({ publishEvery: 1, privacy }, true, figures)[1]!)
    }
    expect(told(null)).toMatch(/ε = 8, δ = 0.00001.*Epsilon 8.*a weak promise.*At 408 contributions/)
    expect(told(40.8)).toMatch(/the noise is 41 times as long as .*: the result will be mostly noise/)
    expect(told(0.2)).toMatch(/the noise is 20 % .*: most of what was learned remains/)
  })

  it('always names the host, and the network where nothing is encrypted', () => {
    expect(exposures({ publishEvery: 3, admission: 'approve' }, false)).toMatchObject([
      { to: 'host', approves: true },
      { to: 'participants' },
      { to: 'others', encrypted: false },
    ])
    expect(isEncrypted({ protocol: 'http:', hostname: '192.168.1.7' })).toBe(false)
    expect(isEncrypted({ protocol: 'http:', hostname: 'localhost' })).toBe(true)
    expect(isEncrypted({ protocol: 'https:', hostname: 'class.example' })).toBe(true)
  })
})
