/**
 * The random bytes behind a private room's noise: AES-256 in counter mode (NIST SP 800-38A) under a key from the
 * operating system's generator. The key is drawn once and kept until the release is published, so that a relay which
 * dies in between makes the very same release at its next start: two with different noise would tell more than either.
 */
import { createCipheriv } from 'node:crypto'
import type { RandomFill } from '../aggregation/normals.ts'

export const NOISE_KEY_BYTES = 32

/** The same bytes for the same key, however they are asked for. */
export function noiseStream(key: Uint8Array): RandomFill {
  if (key.length !== NOISE_KEY_BYTES) throw new RangeError(`a noise key has ${NOISE_KEY_BYTES} bytes`)
  const cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16))
  return (bytes) => bytes.set(cipher.update(new Uint8Array(bytes.length)))
}
