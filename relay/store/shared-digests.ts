/**
 * One string for each digest. Every version lists the updates in it, and each reading of the database brings strings
 * of its own: 300 contributions published three at a time would be 15,000 digests of 88 bytes, and a thousand published
 * one by one 40 MB, where there are as many as contributions.
 */
import type { Digest } from '../protocol/canonical.ts'

export class SharedDigests {
  readonly #known = new Map<Digest, Digest>()

  one(digest: Digest): Digest {
    const known = this.#known.get(digest)
    if (known === undefined) this.#known.set(digest, digest)
    return known ?? digest
  }

  /** The same entry, with the strings that are kept. */
  in<Entry extends { readonly updates: readonly Digest[] }>(entry: Entry): Entry {
    return { ...entry, updates: entry.updates.map((digest) => this.one(digest)) }
  }
}
