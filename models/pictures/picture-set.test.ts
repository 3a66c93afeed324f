import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { writeSafetensors } from '../formats/safetensors.ts'
import { readPictureSet } from './picture-set.ts'

const SIDE = 4
const BYTES = SIDE * SIDE * 3
const records = [
  { index: 0, name: 'red apple', caption: 'red apple, fruit', category: 'food', split: 'train' },
  { index: 1, caption: 'dog\nface' },
]
const pixels = Uint8Array.from({ length: 2 * BYTES }, (_, i) => (i * 37) & 255)
const weightsOf = (shape: number[], bytes: Uint8Array) =>
  writeSafetensors([{ name: 'image', dtype: 'U8', shape, bytes }])
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const good = weightsOf([2, SIDE, SIDE, 3], pixels)

describe('a set of pictures in one file', () => {
  it('gives each picture with its record', () => {
    const [apple, dog] = readPictureSet(good, json(records))
    expect(apple).toMatchObject({ title: 'red apple', caption: 'red apple, fruit', category: 'food' })
    expect(dog).toMatchObject({ title: 'dog face', caption: 'dog face', category: '', split: '', side: 4 })
    expect(dog.pixels).toEqual(pixels.slice(BYTES))
  })

  it.each([
    ['a tensor that is not square', weightsOf([2, SIDE, SIDE / 2, 6], pixels), json(records)],
    ['fewer records than pictures', good, json(records.slice(1))],
    ['records out of order', good, json([...records].reverse())],
    ['a record without a caption', good, json([records[0], { index: 1, caption: ' ' }])],
    ['records that are no list', good, json({})],
    ['a file cut short', good.subarray(0, good.length - 1), json(records)],
  ])('refuses %s', (_, weights, list) => {
    expect(() => readPictureSet(weights, list)).toThrow(FormatError)
  })

  it('reads or refuses whatever stands in the records', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        try {
          readPictureSet(good, json(value))
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError)
        }
      }),
    )
  })
})
