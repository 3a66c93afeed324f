/** From the file to weights on the device: how long, and what they take there. */
import type { Engine } from '../../models/backend/engine.ts'
import { createNodeEngine } from '../../models/backend/node.ts'
import type { Section } from '../agenda.ts'
import { type Place, placeOf } from '../conditions.ts'
import { type BenchModel, smolLm2Model, tinyModel } from '../models.ts'
import type { BenchContext } from '../section.ts'
import { type Spread, spread } from '../timing.ts'

export interface LoadResult extends Place {
  readonly model: string
  /** Read, unpacked or repacked, and on the device: by the wall's clock. The system has the file in memory after the first. */
  readonly loadMs: Spread
  readonly firstLoadMs: number
  readonly fileBytes: number
  /** As the engine counts its tensors' numbers. */
  readonly residentBytes: number
  readonly residentShare: number
}

/** After a first one, which reads from the disk. */
const TIMES = 3

export function loadSection({ webgpu, wasm, smolLm2, log }: BenchContext): Section {
  const results: LoadResult[] = []
  const load = async (engine: Engine, model: BenchModel) => {
    const times: number[] = []
    let residentBytes = 0
    for (let time = 0; time <= TIMES; time++) {
      await engine.finish()
      const before = engine.memory().bytes
      const start = performance.now()
      const loaded = await model.load(engine)
      await engine.finish()
      times.push(performance.now() - start)
      residentBytes = engine.memory().bytes - before
      loaded.dispose()
    }
    const [firstLoadMs, ...rest] = times
    const { name, fileBytes } = model
    const loadMs = spread(rest)
    log(
      `load: ${name} on ${engine.device} in ${(loadMs.median / 1000).toFixed(2)} s, ${(residentBytes / 1e6).toFixed(1)} MB there`,
    )
    results.push({
      ...placeOf(engine),
      ...{ model: name, loadMs, firstLoadMs, fileBytes, residentBytes },
      residentShare: residentBytes / fileBytes,
    })
  }
  const models = [
    { make: tinyModel, name: 'tiny', seconds: 1 },
    ...(smolLm2 ? [{ make: async () => smolLm2Model(smolLm2), name: 'smollm2-135m', seconds: 25 }] : []),
  ]
  return {
    parts: models.flatMap(({ make, name, seconds }) => [
      ...(webgpu
        ? [{ name: `${name}, WebGPU`, seconds, run: async () => load(webgpu.plan, await make()) }]
        : []),
      ...(wasm
        ? [
            {
              name: `${name}, wasm`,
              seconds,
              run: async () => {
                const engine = await createNodeEngine({ backend: 'wasm' })
                await load(engine, await make())
                await engine.dispose()
              },
            },
          ]
        : []),
    ]),
    report: () => results,
  }
}
