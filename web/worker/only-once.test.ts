import { expect, it } from 'vitest'
import { claimWorker } from './only-once.ts'

it('refuses a second start in the same worker, and none in another', () => {
  const worker = {}
  claimWorker(worker)
  claimWorker({})
  expect(() => claimWorker(worker)).toThrow(expect.objectContaining({ code: 'worker/twice' }))
})
