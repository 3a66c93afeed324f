/** What comes with the page to measure on and to rehearse with: texts, or pictures where a room's model draws. */
import { mediumOf } from '../../../models/families/media.ts'
import type { Manifest } from '../../../relay/protocol/manifest.ts'
import { console as text } from '../../strings/host.ts'
import type { LocalFile } from '../../worker/api.ts'
import { pictureSamples } from '../picture-samples.ts'
import { PageError } from '../problems.ts'
import { samples } from '../samples.ts'
import { inWorker } from '../worker-client.ts'

export interface HostSample {
  readonly id: string
  readonly title: string
  /** As a list shows it. */
  readonly name: string
  readonly url: string
  /** What the worker reads; pictures are made the size of the model, which must be in the worker by then. */
  read(bytes: Uint8Array): Promise<LocalFile>
}

const texts: readonly HostSample[] = samples.map(({ id, title, author, url, fileName }) => ({
  id,
  title,
  url,
  name: `${title}, ${author}`,
  read: async (bytes) => ({ name: fileName, bytes }),
}))

const sheets: readonly HostSample[] = pictureSamples.map(({ id, title, url, captions }) => ({
  id,
  title,
  url,
  name: title,
  read: async (png) => ({
    name: title,
    bytes: (await inWorker((api) => api.packSheet(png, captions))).bytes,
  }),
}))

export const samplesFor = ({ base }: Pick<Manifest, 'base'>): readonly HostSample[] =>
  mediumOf(base.family) === 'pictures' ? sheets : texts

/** Throws PageError `data/sample`. */
export async function fetchSample({ url, title }: HostSample): Promise<Uint8Array> {
  const response = await fetch(url).catch(() => null)
  if (!response?.ok) throw new PageError('data/sample', text.sampleMissing(title))
  return new Uint8Array(await response.arrayBuffer())
}
