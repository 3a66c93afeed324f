/** How likely a model finds the counted part of each example: the sum of its tokens' log-probabilities, in nats. */
import type { Adapter } from '../../models/adapters/adapter.ts'
import { pack } from '../../models/text/packing.ts'
import type { TextExample } from '../../models/text/windows.ts'
import { checkAdapterFits, placeAdapter } from '../../models/training/engine-adapter.ts'
import type { Model } from '../../models/training/model.ts'
import { cutToFit } from '../../models/training/shapes.ts'

const SHAPE = { batch: 4, tokens: 128 }

/** `onDone` is called with the share that is done. Returns one number an example, in their order. */
export async function logProbabilities(
  model: Model,
  adapter: Adapter | null,
  examples: readonly TextExample[],
  onDone: (fraction: number) => Promise<void> | void = () => {},
): Promise<Float64Array> {
  if (adapter) checkAdapterFits(model, adapter)
  const placed = adapter ? placeAdapter(model.engine, adapter) : null
  const program = await model.engine.program('log-probabilities', model.inputs(SHAPE), (ops, inputs) => ({
    nll: model.loss(ops, inputs, SHAPE, placed),
  }))
  try {
    const sums = new Float64Array(examples.length)
    let done = 0
    for (const part of cutToFit(model, examples, SHAPE)) {
      const { inputs } = model.collate(part, SHAPE)
      const { nll } = await program.run(inputs, ['nll']) // [batch * tokens], 0 where nothing counts
      // The part is the next so many examples, in their order.
      const texts = examples.slice(done, done + part.length)
      const places = pack(
        texts.map(({ ids }) => ids.length - 1),
        SHAPE,
      )!
      texts.forEach(({ ids }, i) => {
        const row = places[i].window * SHAPE.tokens + places[i].at
        for (let t = 0; t < ids.length - 1; t++) sums[done + i] -= nll[row + t]
      })
      done += part.length
      await onDone(done / examples.length)
    }
    return sums
  } finally {
    program.dispose()
    placed?.dispose()
  }
}
