import fs from 'node:fs'
import { describe, expect, it } from 'vitest'
import { catalog } from '../catalog/catalog.ts'
import { specOfConfig } from './index.ts'
import { mediumOf } from './media.ts'

describe('what a family learns from', () => {
  it('is known by its id as by itself', () => {
    const embedded = catalog.filter(({ origin }) => origin === null)
    expect(new Set(embedded.map(({ family }) => mediumOf(family)))).toEqual(new Set(['text', 'pictures']))
    for (const { id, family } of embedded) {
      const file = new URL(`../catalog/${id}/config.json`, import.meta.url)
      const spec = specOfConfig(JSON.parse(fs.readFileSync(file, 'utf8')))
      expect({ family: spec.family, medium: spec.medium }).toEqual({ family, medium: mediumOf(family) })
    }
    expect(mediumOf('unheard-of')).toBe('text')
  })
})
