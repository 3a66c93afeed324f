/** Loss over examples, with a progress line. */
import type { Adapter } from '../../models/adapters/adapter.ts'
import type { BatchShape, Example, Model } from '../../models/training/model.ts'
import type { Console } from './console.ts'

/** Mean loss in the model's unit, and how many counted. */
export async function measure<E extends Example>(
  model: Model<E>,
  adapter: Adapter | null,
  examples: readonly E[],
  shape: BatchShape,
  console: Console,
  signal: AbortSignal,
  label = 'Measuring',
): Promise<{ loss: number; counted: number }> {
  const { evaluate } = await import('../../models/training/evaluate.ts')
  const progress = console.progress(label, examples.length, `${model.units.example}s`)
  try {
    const result = await evaluate(model, adapter, examples, shape, (fraction) => {
      signal.throwIfAborted()
      progress.update(Math.round(fraction * examples.length))
    })
    progress.finish()
    return result
  } catch (error) {
    progress.abort()
    throw error
  }
}
