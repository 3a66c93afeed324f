/**
 * Greedy generation from the same prompt through this engine's cache and through plain tfjs's, on one adapter: how fast the
 * prompt is taken in, and how fast tokens follow. Both must choose the same tokens.
 */

import type { Engine } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import { Generator } from '../../models/text/generate.ts'
import { generationFlops } from '../counts.ts'
import { type BenchModel, smolLm2Model, tinyModel } from '../models.ts'
import { plainGeneration } from '../plain/generation.ts'
import type { BenchContext } from '../section.ts'
import { type Lap, startClocks } from '../timing.ts'

export interface GenerationResult {
  readonly model: string
  readonly contestant: string
  readonly device: string
  readonly promptTokens: number
  readonly promptTokensPerSecond: number
  readonly decodedTokens: number
  readonly decodeTokensPerSecond: number
  /** By processor time, all threads. */
  readonly promptTokensPerCpuSecond: number
  readonly decodeTokensPerCpuSecond: number
  readonly decodeGflops: number
  readonly tokens: readonly number[]
}

export interface GenerationReport {
  readonly results: readonly GenerationResult[]
  /** The plan's decoding over plain tfjs's on the same adapter, by model and by both clocks. */
  readonly againstPlain: Readonly<Record<string, { readonly byWall: number; readonly byCpu: number }>>
}

const PROMPT_TOKENS = 33
const DECODED = 16

type Stream = (count: number) => AsyncGenerator<number>

export async function benchGeneration(context: BenchContext): Promise<GenerationReport> {
  const { webgpu, smolLm2, log, shapes } = context
  const models = [
    ...(shapes === null || shapes.includes('tiny') ? [await tinyModel()] : []),
    ...(smolLm2 ? [smolLm2Model(smolLm2)] : []),
  ]
  const results: GenerationResult[] = []
  const againstPlain: Record<string, { byWall: number; byCpu: number }> = {}
  const add = (result: GenerationResult) => {
    log(
      `generate: ${result.model}, ${result.contestant} on ${result.device}: prompt ${result.promptTokensPerSecond.toFixed(1)}, decode ${result.decodeTokensPerSecond.toFixed(2)} tokens/s`,
    )
    results.push(result)
    return result
  }
  for (const model of models) {
    const prompt = Array.from(
      { length: PROMPT_TOKENS },
      (_, i) => (i * 37 + 11) % model.config.vocabularySize,
    )
    if (webgpu) {
      const own = add(await ownText(webgpu.plan, model, prompt))
      await webgpu.plain.finish()
      const plain = plainGeneration(model.config, await model.unpacked())
      const other = add(
        await measure(model, 'plain tfjs', webgpu.plain.device, prompt, (count) =>
          plain.tokens(prompt, count),
        ),
      )
      plain.dispose()
      if (own.tokens.join() !== other.tokens.join())
        throw new Error(`other tokens: ${own.tokens} and ${other.tokens}; not the same work`)
      againstPlain[model.name] = {
        byWall: own.decodeTokensPerSecond / other.decodeTokensPerSecond,
        byCpu: own.decodeTokensPerCpuSecond / other.decodeTokensPerCpuSecond,
      }
    }
    if (context.wasm) {
      const wasm = await createNodeEngine({ backend: 'wasm' })
      add(await ownText(wasm, model, prompt))
      await wasm.dispose()
    }
  }
  return { results, againstPlain }
}

async function ownText(
  engine: Engine,
  model: BenchModel,
  prompt: readonly number[],
): Promise<GenerationResult> {
  const loaded = await model.load(engine)
  const generator = new Generator(loaded.model, loaded.tokenizer)
  try {
    return await measure(
      model,
      `oneround (${engine.executor})`,
      engine.device,
      prompt,
      async function* (count) {
        const options = { adapter: null, prompt, maxTokens: count, temperature: 0, stopIds: [] }
        for await (const { id } of generator.generate(options)) yield id
      },
    )
  } finally {
    generator.dispose()
    loaded.dispose()
  }
}

/** The second text is timed: kernels are compiled in the first, which needs only one token after the prompt. */
async function measure(
  { name, config }: BenchModel,
  contestant: string,
  device: string,
  prompt: readonly number[],
  stream: Stream,
): Promise<GenerationResult> {
  for await (const _ of stream(2));
  const tokens: number[] = []
  const lap = startClocks()
  let first: Lap = { wallMs: 0, cpuMs: 0 }
  for await (const id of stream(DECODED + 1)) {
    if (tokens.length === 0) first = lap()
    tokens.push(id)
  }
  const all = lap()
  const [decodeMs, decodeCpuMs] = [all.wallMs - first.wallMs, all.cpuMs - first.cpuMs]
  const flops = Array.from({ length: DECODED }, (_, i) => generationFlops(config, prompt.length + i, 1))
  return {
    model: name,
    contestant,
    device,
    promptTokens: prompt.length,
    promptTokensPerSecond: (prompt.length * 1000) / first.wallMs,
    promptTokensPerCpuSecond: (prompt.length * 1000) / first.cpuMs,
    decodedTokens: DECODED,
    decodeTokensPerSecond: (DECODED * 1000) / decodeMs,
    decodeTokensPerCpuSecond: (DECODED * 1000) / decodeCpuMs,
    decodeGflops: flops.reduce((sum, count) => sum + count, 0) / decodeMs / 1e6,
    tokens,
  }
}
