/** Texts one after another over the same base: what one generator writes is what a fresh one writes, and leaks nothing. */

import { expect, it } from 'vitest'
import type { Adapter } from '../adapters/adapter.ts'
import { withoutCores } from '../adapters/adapter.ts'
import { initialAdapter } from '../adapters/initial.ts'
import { modelFiles } from '../testing/fixtures.ts'
import { loadLlama } from '../testing/llama.ts'
import { normals } from '../testing/normals.ts'
import { onEveryExecutor } from '../testing/on-every-engine.ts'
import { Generator, generate, type TextOptions } from '../text/generate.ts'
import type { LlamaModel } from './model.ts'

/** Strong enough to change what is said. */
function adapterOf(model: LlamaModel, rank: number, seed: number, core = false): Adapter {
  const modules = initialAdapter({ rank, alpha: 16, modules: model.modules }, 'generate').modules
  return {
    modules: new Map(
      [...modules].map(([name, factors], i) => [
        name,
        {
          ...factors,
          b: normals(factors.b.length, seed + i, 0.3),
          ...(core && { r: normals(rank * rank, seed + i + 1000, 0.7) }),
        },
      ]),
    ),
  }
}

onEveryExecutor('a generator', (engine) => {
  it('switches between base and adapters, and each text is that of a fresh start', async () => {
    const { model, tokenizer } = await loadLlama(engine(), modelFiles('nano'))
    const generator = new Generator(model, tokenizer)
    const [own, merged, other, core] = [
      adapterOf(model, 4, 1),
      adapterOf(model, 6, 2),
      adapterOf(model, 4, 3),
      adapterOf(model, 4, 4, true),
    ]
    const ids = async (stream: AsyncGenerator<{ id: number }>) => {
      const found: number[] = []
      for await (const { id } of stream) found.push(id)
      return found
    }
    const text = (adapter: Adapter | null, length = 40): TextOptions => ({
      adapter,
      prompt: Array.from({ length }, (_, i) => (7 * i + 3) % 97),
      maxTokens: 8,
      stopIds: [],
    })
    // An engine keeps what it has derived from the base's weights.
    await ids(generate({ model, tokenizer, ...text(null) }))
    const before = engine().memory()
    const texts = new Set<string>()
    for (const options of [
      ...[null, own, merged, null, other, own].map((adapter) => text(adapter)),
      text(core, 3),
      text(withoutCores(core), 3),
      // Longer than the caches reach so far.
      text(own, 110),
      text(null, 2),
    ]) {
      const found = await ids(generator.generate(options))
      expect(found).toHaveLength(8)
      expect(found).toEqual(await ids(generate({ model, tokenizer, ...options })))
      texts.add(found.join())
    }
    // Base, own, merged and other say different things; a core says what its folded form says.
    expect(texts.size).toBe(7)
    generator.dispose()
    expect(engine().memory()).toEqual(before)
    model.dispose()
  })

  it('is seeded, takes one text at a time, and stops within a text', async () => {
    const { model, tokenizer } = await loadLlama(engine(), modelFiles('nano'))
    const generator = new Generator(model, tokenizer)
    const options = (seed: string): TextOptions => ({
      adapter: null,
      prompt: [1, 2, 3],
      maxTokens: 12,
      temperature: 1.2,
      topP: 0.9,
      repetitionPenalty: 1.3,
      seed,
      stopIds: [],
    })
    const write = async (one: TextOptions) => {
      let text = ''
      const ids: number[] = []
      for await (const token of generator.generate(one)) {
        text += token.text
        ids.push(token.id)
      }
      return { text, ids }
    }
    const first = await write(options('a'))
    expect(await write(options('a'))).toEqual(first)
    expect((await write(options('b'))).ids).not.toEqual(first.ids)
    const stop = first.text.slice(3, 5)
    expect((await write({ ...options('a'), stop: [stop] })).text).toBe(
      first.text.slice(0, first.text.indexOf(stop)),
    )

    const running = generator.generate(options('a'))
    await running.next()
    await expect(generator.generate(options('b')).next()).rejects.toMatchObject({ code: 'generate/busy' })
    await running.return(undefined)
    expect(await write(options('a'))).toEqual(first)
    generator.dispose()
    model.dispose()
  })
})
