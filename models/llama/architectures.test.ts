/**
 * Llama 3's rotary scaling, Qwen2's biases and Qwen3's normed heads against transformers and PEFT, in both layouts, on
 * every engine; and what is refused by name.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { expectNear, expectWithin } from '../testing/close.ts'
import { fixtureBytes, fixtureJson, fixtures, fixtureTensors } from '../testing/fixtures.ts'
import { examplesOf, loadLlama, lossAndGradients, states } from '../testing/llama.ts'
import { onEveryEngine } from '../testing/on-every-engine.ts'
import { parseLlamaConfig } from './config.ts'
import type { LlamaModel } from './model.ts'
import { llama3Divisor } from './rope-scaling.ts'
import { rotaryTable } from './weights.ts'

/** A software adapter compiles the kernels of a whole step in tens of seconds when the machine is busy. */
vi.setConfig({ testTimeout: 120_000 })

const NAMES = ['llama3', 'qwen2', 'qwen3'] as const

const folderOf = (name: string) =>
  new Map([
    ...['config.json', 'model.safetensors'].map(
      (file) => [file, fixtureBytes(`architectures/${name}/${file}`)] as const,
    ),
    ['tokenizer.json', fixtureBytes('nano/tokenizer.json')] as const,
  ])

onEveryEngine(
  'architecture',
  (engine) => {
    describe.each(NAMES)('%s', (name) => {
      const expected = fixtureTensors(`architectures/${name}/expected.safetensors`)
      let model: LlamaModel

      beforeAll(() => {
        model = loadLlama(engine(), folderOf(name)).model
      })

      afterAll(() => model.dispose())

      it('logits, from a folder and from a GGUF file', async () => {
        const shape = { batch: 2, tokens: 33 }
        const { logits } = await states(model, expected('input_ids'), shape, null)
        expectWithin(logits, expected('logits'), 1e-4, 'logits')
        const gguf = new Map([['model.gguf', fixtureBytes(`architectures/${name}/model.gguf`)]])
        const same = loadLlama(engine(), gguf)
        expect(same.model.config).toEqual({
          ...model.config,
          rmsNormEps: Math.fround(model.config.rmsNormEps),
          ropeScaling: name === 'llama3' ? 'in-file' : null,
        })
        const found = await states(same.model, expected('input_ids'), shape, null)
        expectWithin(found.logits, expected('logits'), 1e-4, 'logits from GGUF')
        same.dispose()
      })

      it('loss and gradients of every A and B', async () => {
        const examples = examplesOf(expected('input_ids'), expected('labels'), 2)
        const adapter = fixtures.adapter(`architectures/${name}`)
        const { loss, gradients } = await lossAndGradients(model, examples, { batch: 2, tokens: 32 }, adapter)
        expectWithin([loss], [fixtureJson(`architectures/${name}/loss.json`).lora], 1e-5, 'loss')
        const reference = fixtureTensors(`architectures/${name}/gradients.safetensors`)
        expect(gradients.size).toBe(2 * 2 * 7)
        for (const [tensor, values] of gradients) expectNear(values, reference(tensor), 1e-4, tensor)
      })
    })
  },
  'one',
)

describe('configuration', () => {
  const config = (name: string) => fixtureJson(`architectures/${name}/config.json`)

  it('says what differs', () => {
    expect(parseLlamaConfig(config('llama3'))).toMatchObject({
      architecture: 'llama',
      ropeScaling: { factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 16 },
    })
    expect(parseLlamaConfig(config('qwen2'))).toMatchObject({
      architecture: 'qwen2',
      headDim: 4,
      attentionBias: true,
      outputBias: false,
      qkNorm: false,
    })
    expect(parseLlamaConfig(config('qwen3'))).toMatchObject({
      architecture: 'qwen3',
      headDim: 8,
      attentionBias: false,
      qkNorm: true,
      ropeScaling: null,
    })
  })

  it('takes the defaults of transformers', () => {
    const { head_dim, ...rest } = config('qwen3')
    expect(parseLlamaConfig(rest).headDim).toBe(128)
    const { architectures, ...unnamed } = config('qwen2')
    expect(parseLlamaConfig(unnamed).architecture).toBe('qwen2')
  })

  it.each([
    ['qwen2', { use_sliding_window: true }, 'config/unsupported', /sliding window/],
    ['qwen3', { layer_types: ['full_attention', 'sliding_attention'] }, 'config/unsupported', /sliding/],
    ['qwen3', { architectures: ['Qwen3MoeForCausalLM'] }, 'config/unsupported', /Qwen3Moe.*Qwen2ForCausalLM/],
    ['qwen3', { architectures: ['Qwen2ForCausalLM'] }, 'config/unsupported', /with model_type "qwen3"/],
    ['llama3', { rope_parameters: { rope_type: 'yarn' } }, 'config/unsupported', /"yarn"/],
    ['llama3', { rope_parameters: { rope_type: 'llama3' } }, 'config/malformed', /factor/],
    [
      'llama3',
      { rope_parameters: { ...config('llama3').rope_parameters, low_freq_factor: 4 } },
      'config/malformed',
      /low_freq_factor below/,
    ],
  ])('%s with %o is refused', (name, change, code, message) => {
    expect(() => parseLlamaConfig({ ...config(name), ...change })).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })
})

describe('rotary scaling', () => {
  const scaling = { factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 8192 }

  it('leaves fast pairs alone, slows slow ones, and passes between without a jump', () => {
    const turning = (turns: number) => llama3Divisor((2 * Math.PI * turns) / 8192, scaling)
    expect([turning(100), turning(0.5)]).toEqual([1, 8])
    expect(turning(4 - 1e-9)).toBeCloseTo(1, 6)
    expect(turning(1 + 1e-9)).toBeCloseTo(8, 6)
    expect(turning(2.5)).toBeCloseTo(1 / (0.5 / 8 + 0.5), 9)
  })

  it('is in the table: plain and scaled differ', () => {
    const config = { maxPositions: 4, headDim: 4, ropeTheta: 10_000 }
    const plain = rotaryTable({ ...config, ropeScaling: null })
    const divided = rotaryTable({ ...config, ropeScaling: 'in-file' }, Float32Array.of(1, 2))
    expect(divided[3 * 4]).toBe(plain[3 * 4])
    expect(divided[3 * 4 + 3]).toBeCloseTo(Math.sin(0.03 / 2), 7)
  })
})
