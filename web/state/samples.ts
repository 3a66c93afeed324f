/**
 * Public-domain texts that come with the page, for whoever has none at hand. They are files beside the page,
 * fetched when one is chosen.
 */
import { samples as catalogSamples } from '../../models/catalog/catalog.ts'

const addresses = import.meta.glob<string>('../../models/catalog/samples/*.txt', {
  query: '?url&no-inline',
  import: 'default',
  eager: true,
})

export interface Sample {
  readonly id: string
  readonly title: string
  readonly author: string
  readonly fileName: string
  readonly url: string
}

export const samples: readonly Sample[] = catalogSamples.map((entry) => ({
  id: entry.file.replace(/\.txt$/, ''),
  title: entry.title,
  author: entry.author,
  fileName: entry.file,
  url: addresses[`../../models/catalog/samples/${entry.file}`],
}))
