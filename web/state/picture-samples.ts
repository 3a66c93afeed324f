/** Sample pictures that come with the page: files beside it, fetched when a set is chosen. */
import { computed } from '@preact/signals'
import { pictureCredit, pictureSheets } from '../../models/catalog/picture-samples.ts'
import { files } from './store.ts'

const addresses = import.meta.glob<string>('../../models/catalog/pictures/*.png', {
  query: '?url&no-inline',
  import: 'default',
  eager: true,
})

export interface PictureSample {
  readonly id: string
  readonly title: string
  readonly fileName: string
  readonly captions: readonly string[]
  readonly url: string
}

export const sampleCredit = pictureCredit

export const pictureSamples: readonly PictureSample[] = pictureSheets.map(({ file, title, captions }) => ({
  id: file.replace(/\.png$/, ''),
  title,
  fileName: file,
  captions,
  url: addresses[`../../models/catalog/pictures/${file}`],
}))

/** Whether the person's own data hold sample pictures: their licence asks for the credit wherever they are shown. */
export const hasSamples = computed(() =>
  files.value.some(({ name }) => pictureSamples.some(({ fileName }) => fileName === name)),
)
