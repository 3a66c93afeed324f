/** What the host is shown of an update before it lets it count, against numbers worked out here from the whole change. */
import { expect, it } from 'vitest'
import { decodeUpdate } from '../../models/adapters/update-codec.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import { adapterShape, compareUpdate } from './jobs.ts'
import { privateManifest, testManifest, testUpdate } from './testing/round.ts'

const manifest = testManifest()
const update = (seed: string) => testUpdate(manifest, seed)
/** Every number of the change, one after the other. */
const numbers = (bytes: Uint8Array) => {
  const { change } = decodeUpdate(bytes, {
    shape: adapterShape(manifest),
    manifestDigest: manifestDigest(manifest),
  })
  return [...change.values()].flatMap((values) => [...values])
}
const inner = (x: readonly number[], y: readonly number[]) =>
  x.reduce((sum, value, i) => sum + value * y[i]!, 0)
const norm = (x: readonly number[]) => Math.sqrt(inner(x, x))

it.each([
  ['one other', ['a']],
  ['two others', ['a', 'b']],
  ['three others', ['a', 'b', 'c']],
])('norm, the others’ median norm and the cosine to their sum: %s', (_, seeds) => {
  const own = numbers(update('own'))
  const others = seeds.map((seed) => numbers(update(seed)))
  const sum = own.map((__, i) => others.reduce((total, other) => total + other[i]!, 0))
  const norms = others.map(norm).sort((p, q) => p - q)
  const { norm: found, medianNorm, cosine } = compareUpdate(manifest, update('own'), seeds.map(update))
  expect(found).toBeCloseTo(norm(own), 10)
  const middle = [norms[(norms.length - 1) >> 1]!, norms[norms.length >> 1]!]
  expect(medianNorm).toBeCloseTo((middle[0]! + middle[1]!) / 2, 10)
  expect(cosine).toBeCloseTo(inner(own, sum) / norm(own) / norm(sum), 10)
})

it('is 1 beside itself, and says nothing where there is nobody to compare with', () => {
  expect(compareUpdate(manifest, update('own'), [update('own')]).cosine).toBeCloseTo(1, 12)
  expect(compareUpdate(manifest, update('own'), [])).toMatchObject({ medianNorm: null, cosine: null })
})

it('refuses to compare with another room’s update', () => {
  const foreign = privateManifest()
  expect(() => compareUpdate(manifest, update('own'), [testUpdate(foreign, 'x', null)])).toThrow(
    expect.objectContaining({ code: 'update/wrong-manifest' }),
  )
})
