/**
 * SmolLM2-135M-Instruct from its GGUF file, run on wasm and on the plan engine against PyTorch with the same
 * dequantised weights: hidden states, logits and the masked loss; and what the weights take on the GPU. On wasm they
 * are half a gigabyte of float32, so not among the default tests.
 */
import { expect, it } from 'vitest'
import { expectWithin } from '../testing/close.ts'
import { fixtureJson, fixtureTensors } from '../testing/fixtures.ts'
import { examplesOf, lossOf, states } from '../testing/llama.ts'
import { onSmolLm2, PATIENCE_MS } from '../testing/smollm2.ts'

/** In float32: wasm adds as PyTorch on a processor does, a GPU in another order. */
const LOGITS = { wasm: 2e-4, webgpu: 2e-3, webgl: 2e-3, cpu: 2e-4 }
const HIDDEN_STATES = 2e-3
const LOSS = 2e-4
const VOCABULARY = 49_152
const HIDDEN = 576

onSmolLm2('SmolLM2-135M-Instruct', (running, present, source) => {
  const tolerance = LOGITS[present.backend]

  it.runIf(present.executor === 'plan')('takes about the file on the device', () => {
    expect(running().engine.memory().bytes).toBeLessThan(1.1 * source.bytes)
  })

  it(
    'hidden states and logits',
    async () => {
      const expected = fixtureTensors('smollm2-135m/logits.safetensors')
      const ids = expected('input_ids')
      const { logits, hidden } = await states(running().model, ids, { batch: 1, tokens: 32 }, null)
      const rows = Array.from({ length: 32 }, (_, row) =>
        logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY),
      )
      expectWithin(rows[31], expected('last_logits'), tolerance, 'last logits')
      const first64 = Float32Array.from(rows.flatMap((row) => [...row.subarray(0, 64)]))
      expectWithin(first64, expected('first64_logits'), tolerance, 'first 64 logits of every position')
      expectWithin(rows.map(logSumExp), expected('logsumexp'), tolerance, 'logsumexp')
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
      const { nll, loss, counted } = await lossOf(running().model, examples, { batch: 2, tokens: 47 }, null)
      const expected = fixtureJson('smollm2-135m/loss.json')
      expect(counted).toBe(expected.targets)
      expectWithin(nll, masked('token_nll'), tolerance, 'token nll')
      expectWithin([loss], [expected.loss], LOSS, 'loss')
    },
    PATIENCE_MS,
  )
})

function logSumExp(row: Float32Array): number {
  const largest = row.reduce((x, y) => Math.max(x, y))
  return largest + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0))
}
