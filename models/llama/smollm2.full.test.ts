/**
 * SmolLM2-135M-Instruct from its GGUF file, run on wasm against PyTorch with the same dequantised weights: hidden
 * states, logits and the masked loss. Half a gigabyte of float32 weights, so not among the default tests.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Engine } from '../backend/engine.ts'
import { createNodeEngine } from '../backend/node.ts'
import { type LoadedModel, streamModel } from '../catalog/load.ts'
import { expectWithin } from '../testing/close.ts'
import { fixtureJson, fixtureTensors } from '../testing/fixtures.ts'
import { examplesOf, lossOf, states } from '../testing/llama.ts'
import { withSmolLm2 } from '../testing/smollm2.ts'

/** On a processor, in float32. */
const LOGITS = 2e-4
const HIDDEN_STATES = 2e-3
const LOSS = 2e-4
const VOCABULARY = 49_152
const HIDDEN = 576
const PATIENCE_MS = 300_000

withSmolLm2('SmolLM2-135M-Instruct on wasm', (source) => {
  let engine: Engine
  let loaded: LoadedModel

  beforeAll(async () => {
    engine = await createNodeEngine({ backend: 'wasm' })
    loaded = await streamModel(engine, source)
  }, PATIENCE_MS)

  afterAll(async () => {
    loaded.dispose()
    await engine.dispose()
  })

  it(
    'hidden states and logits',
    async () => {
      const expected = fixtureTensors('smollm2-135m/logits.safetensors')
      const ids = expected('input_ids')
      const { logits, hidden } = await states(loaded.model, ids, { batch: 1, tokens: 32 }, null)
      const rows = Array.from({ length: 32 }, (_, row) =>
        logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY),
      )
      expectWithin(rows[31], expected('last_logits'), LOGITS, 'last logits')
      const first64 = Float32Array.from(rows.flatMap((row) => [...row.subarray(0, 64)]))
      expectWithin(first64, expected('first64_logits'), LOGITS, 'first 64 logits of every position')
      expectWithin(rows.map(logSumExp), expected('logsumexp'), LOGITS, 'logsumexp')
      expect(rows.map((row) => row.indexOf(row.reduce((x, y) => Math.max(x, y))))).toEqual([
        ...expected('argmax'),
      ])
      // The fixture leaves out the stream after the last block, before the final norm.
      const compared = [...hidden.slice(0, 30), hidden[31]]
      const last = Float32Array.from(compared.flatMap((state) => [...state.subarray(31 * HIDDEN)]))
      expectWithin(last, expected('last_hidden'), HIDDEN_STATES, 'hidden states of the last position')
    },
    PATIENCE_MS,
  )

  it(
    'the masked loss, and each token of it',
    async () => {
      const masked = fixtureTensors('smollm2-135m/loss.safetensors')
      const examples = examplesOf(masked('input_ids'), masked('labels'), 2)
      const { nll, loss, counted } = await lossOf(loaded.model, examples, { batch: 2, tokens: 47 }, null)
      const expected = fixtureJson('smollm2-135m/loss.json')
      expect(counted).toBe(expected.targets)
      expectWithin(nll, masked('token_nll'), LOGITS, 'token nll')
      expectWithin([loss], [expected.loss], LOSS, 'loss')
    },
    PATIENCE_MS,
  )
})

function logSumExp(row: Float32Array): number {
  const largest = row.reduce((x, y) => Math.max(x, y))
  return largest + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0))
}
