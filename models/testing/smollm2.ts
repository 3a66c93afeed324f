/**
 * The SmolLM2 file that some tests need and the repository does not hold: 98 MB, named by ONEROUND_SMOLLM2 (see
 * models/fixtures/smollm2-135m/README.md). Without it they are skipped, and say so.
 */
import { existsSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { afterAll, beforeAll, describe } from 'vitest'
import type { ByteSource } from '../formats/byte-source.ts'

const path = process.env.ONEROUND_SMOLLM2 ?? ''

/** Why there is nothing to test, or null. */
const missing =
  path === ''
    ? 'ONEROUND_SMOLLM2 does not name the GGUF file of SmolLM2-135M-Instruct'
    : existsSync(path)
      ? null
      : `ONEROUND_SMOLLM2 names ${path}, and there is no such file`

/** Describes tests of the real model, given its file. */
export function withSmolLm2(title: string, tests: (source: ByteSource) => void): void {
  if (missing) console.warn(`Skipped: ${title}. ${missing}.`)
  describe.skipIf(missing)(title, () => {
    let file: FileHandle
    beforeAll(async () => {
      file = await open(path)
    })
    afterAll(() => file.close())
    tests({
      bytes: missing ? 0 : statSync(path).size,
      async read(offset, length) {
        const piece = new Uint8Array(length)
        const { bytesRead } = await file.read(piece, 0, length, offset)
        return piece.subarray(0, bytesRead)
      },
    })
  })
}
