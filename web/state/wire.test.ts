import { afterEach, describe, expect, it } from 'vitest'
import { forgetWire, recordWire, restoreWire, wireEntries, wireToSave } from './wire.ts'

afterEach(forgetWire)

const text = (payload: string, event = 'status') =>
  recordWire({ direction: 'in', event, bytes: payload.length, payload })

describe('the wire log', () => {
  it('keeps every message in order, with its contents', () => {
    text('one')
    recordWire({ direction: 'out', event: 'chunk data', bytes: 2, payload: Uint8Array.of(1, 2) })
    expect(wireEntries()).toMatchObject([
      { direction: 'in', bytes: 3, payload: 'one', earlier: false },
      { direction: 'out', bytes: 2, payload: Uint8Array.of(1, 2) },
    ])
  })

  it('goes on counting where contents no longer fit', () => {
    const half = new Uint8Array(40 * 1024 * 1024)
    for (const event of ['first', 'second', 'small']) {
      const payload = event === 'small' ? Uint8Array.of(7) : half
      recordWire({ direction: 'out', event, bytes: payload.byteLength, payload })
    }
    expect(wireEntries().map(({ bytes, payload }) => [bytes, payload !== null])).toEqual([
      [half.byteLength, true],
      [half.byteLength, false],
      [1, true],
    ])
  })

  it('survives a reload without the contents of binary messages, earlier entries first', () => {
    text('kept')
    text('x'.repeat(200_000))
    recordWire({ direction: 'out', event: 'chunk data', bytes: 3, payload: Uint8Array.of(1, 2, 3) })
    const saved = wireToSave()
    forgetWire()
    text('after')
    restoreWire(saved)
    expect(wireEntries().map(({ payload, earlier }) => [payload, earlier])).toEqual([
      ['kept', true],
      [null, true],
      [null, true],
      ['after', false],
    ])
  })
})
