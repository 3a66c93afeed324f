import type { IncomingMessage } from 'node:http'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientAddress, HeldCount, isLocal, RateLimit } from './address-limits.ts'

const request = (remoteAddress: string, headers: Record<string, string> = {}) =>
  ({ headers, socket: { remoteAddress } }) as unknown as IncomingMessage

describe('a rate limit', () => {
  it('lets a burst of a whole minute pass, then as many as are refilled', () => {
    let nowMs = 0
    const limit = new RateLimit(300, () => nowMs)
    for (let i = 0; i < 300; i++) expect(limit.take('a')).toBe(true)
    expect(limit.take('a')).toBe(false)
    expect(limit.has('a')).toBe(false)
    expect(limit.take('b')).toBe(true)
    nowMs = 1000
    for (let i = 0; i < 5; i++) expect(limit.take('a')).toBe(true)
    expect(limit.take('a')).toBe(false)
  })

  it('never lets more than two minutes’ worth into any minute', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 400 }), (pausesMs) => {
        let nowMs = 0
        const limit = new RateLimit(10, () => nowMs)
        const taken: number[] = []
        for (const pauseMs of pausesMs) {
          nowMs += pauseMs
          if (limit.take('a')) taken.push(nowMs)
        }
        for (const from of taken) {
          const inMinute = taken.filter((at) => at >= from && at < from + 60_000).length
          expect(inMinute).toBeLessThanOrEqual(20)
        }
      }),
    )
  })

  it('remembers a bounded number of addresses', () => {
    const limit = new RateLimit(10, () => 0)
    for (let i = 0; i < 50_000; i++) limit.take(String(i))
    expect(limit.size).toBeLessThanOrEqual(20_000)
  })
})

it('counts what is held and forgets who holds nothing', () => {
  const held = new HeldCount(2)
  held.add('a')
  held.add('a')
  expect([held.isFull('a'), held.isFull('b')]).toEqual([true, false])
  held.remove('a')
  expect(held.isFull('a')).toBe(false)
  held.remove('a')
  expect(held.size).toBe(0)
})

describe('the address a request counts to', () => {
  it('is the peer, whatever the headers say', () => {
    expect(clientAddress(request('192.0.2.7', { 'x-forwarded-for': '198.51.100.1' }), false)).toBe(
      '192.0.2.7',
    )
    expect(clientAddress(request('::ffff:192.0.2.7'), false)).toBe('192.0.2.7')
  })

  it('is behind a trusted proxy the entry which that wrote itself', () => {
    const forged = { 'x-forwarded-for': '203.0.113.9, 198.51.100.1' }
    expect(clientAddress(request('127.0.0.1', forged), true)).toBe('198.51.100.1')
    expect(clientAddress(request('127.0.0.1'), true)).toBe('127.0.0.1')
  })

  it('is the /64 of an IPv6 address', () => {
    const network = (address: string) => clientAddress(request(address), false)
    expect(network('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
    expect(network('2001:db8:1:2::9')).toBe(network('2001:DB8:1:2:ffff::1'))
    expect(network('2001:db8::1')).toBe('2001:db8:0:0::/64')
  })

  it('is local only without a proxy between', () => {
    expect(isLocal(request('127.0.0.1'))).toBe(true)
    expect(isLocal(request('::1'))).toBe(true)
    expect(isLocal(request('127.0.0.1', { 'x-forwarded-for': '192.0.2.7' }))).toBe(false)
    expect(isLocal(request('192.0.2.7'))).toBe(false)
  })
})
