/** From the file to weights on the device: how long, and what they take there. */
import { smolLm2Model, tinyModel } from '../models.ts'
import type { BenchContext, Skipped } from '../section.ts'

export interface LoadResult {
  readonly model: string
  readonly loadMs: number
  readonly fileBytes: number
  readonly residentBytes: number
  readonly residentShare: number
}

export async function benchLoad({ webgpu, smolLm2, log }: BenchContext): Promise<LoadResult[] | Skipped> {
  if (!webgpu) return { skipped: 'no WebGPU adapter' }
  const engine = webgpu.plan
  const models = [await tinyModel(), ...(smolLm2 ? [smolLm2Model(smolLm2)] : [])]
  const results: LoadResult[] = []
  for (const model of models) {
    const before = engine.memory().bytes
    const start = performance.now()
    const loaded = await model.load(engine)
    await engine.finish()
    const loadMs = performance.now() - start
    const residentBytes = engine.memory().bytes - before
    loaded.dispose()
    log(
      `load: ${model.name} in ${(loadMs / 1000).toFixed(2)} s, ${(residentBytes / 1e6).toFixed(1)} MB on the device`,
    )
    const { name, fileBytes } = model
    results.push({ model: name, loadMs, fileBytes, residentBytes, residentShare: residentBytes / fileBytes })
  }
  return results
}
