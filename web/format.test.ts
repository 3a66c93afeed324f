import { describe, expect, it } from 'vitest'
import { bytes, cosine, counted, duration, parameters, rate, shortDigest } from './format.ts'

describe('numbers as a person reads them', () => {
  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [3_935_000, '3.9 MB'],
    [999_600, '1.0 MB'],
    [2_600_000_000, '2.6 GB'],
  ])('%d bytes is %s', (value, words) => expect(bytes(value)).toBe(words))

  it.each([
    [0.2, 'under 1 s'],
    [59.6, '60 s'],
    [125, '2 min'],
    [7380, '2 h 3 min'],
    [Number.POSITIVE_INFINITY, '–'],
  ])('%d seconds is %s', (value, words) => expect(duration(value)).toBe(words))

  it('agrees in number', () => {
    expect(counted(1, 'example')).toBe('1 example')
    expect(counted(1234, 'example')).toBe('1,234 examples')
    expect(counted(2, 'copy', 'copies')).toBe('2 copies')
  })

  it('keeps two digits of small speeds', () => {
    expect(rate(3.14)).toBe('3.1')
    expect(rate(1234.5)).toBe('1,235')
  })

  it('shortens what is only compared', () => {
    expect(parameters(1_967_808)).toBe('2.0 million')
    expect(shortDigest('0123456789abcdef0123456789abcdef')).toBe('01234567…89abcdef')
  })

  it.each([
    [-0.001, '0.00'],
    [-0.5, '−0.50'],
    [1, '1.00'],
  ])('the cosine %d is %s', (value, words) => expect(cosine(value)).toBe(words))
})
