import { describe, expect, it } from 'vitest'
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
