/**
 * Drawing pictures: Euler's method from noise at time 0 along the velocity to time 1, in equal steps. With guidance s
 * the velocity is v_empty + s (v_caption - v_empty): further towards what the caption asks for. Ho & Salimans 2022,
 * https://arxiv.org/abs/2207.12598
 */
import type { Adapter } from '../adapters/adapter.ts'
import type { Program } from '../backend/engine.ts'
import { checkAdapterFits, placeAdapter } from '../training/engine-adapter.ts'
import { emptyCaption, toPixels } from './flow.ts'
import type { DiffusionModel } from './model.ts'

export interface SampleOptions {
  readonly model: DiffusionModel
  readonly adapter: Adapter | null
  /** The caption's ids, one a picture. */
  readonly captions: readonly Int32Array[]
  /** [side * side * 3], one a picture. */
  readonly noise: readonly Float32Array[]
  readonly steps: number
  /** 1: none. */
  readonly guidance: number
  readonly signal?: AbortSignal | undefined
}

export interface SampleState {
  /** Steps done. */
  readonly step: number
  readonly steps: number
  /** Where each picture is, from -1 to 1 and beyond. */
  readonly pictures: readonly Float32Array[]
}

/** Pictures that pass through the device at once; guidance doubles them. */
const MOST_AT_ONCE = 32

/**
 * Yields the noise first, then the state after each step. Throws MismatchError for another base's adapter, and the
 * signal's reason.
 */
export async function* sample(options: SampleOptions): AsyncGenerator<SampleState, void, void> {
  const { model, adapter, captions, steps, guidance, signal } = options
  if (captions.length !== options.noise.length || captions.length === 0) {
    throw new RangeError(`${captions.length} captions and ${options.noise.length} noises`)
  }
  if (adapter) checkAdapterFits(model, adapter)
  const guided = guidance !== 1
  const group = Math.min(captions.length, guided ? MOST_AT_ONCE / 2 : MOST_AT_ONCE)
  const placed = adapter ? placeAdapter(model.engine, adapter) : null
  let program: Program | null = null
  try {
    const rows = guided ? 2 * group : group
    program = await model.engine.program('velocity', model.velocityInputs(rows), (ops, inputs) => ({
      velocity: model.velocity(ops, inputs, rows, placed),
    }))
    const empty = emptyCaption(model.config)
    const pictures = options.noise.map((noise) => noise.slice())
    yield { step: 0, steps, pictures: pictures.map((picture) => picture.slice()) }
    for (let step = 0; step < steps; step++) {
      for (let first = 0; first < pictures.length; first += group) {
        signal?.throwIfAborted()
        const own = pictures.slice(first, first + group)
        const inputs = model.emptyInputs(rows)
        own.forEach((picture, i) => {
          model.layOut(inputs, i, captions[first + i], step / steps, picture)
          if (guided) model.layOut(inputs, group + i, empty, step / steps, picture)
        })
        const { velocity } = await program.run(inputs, ['velocity'])
        const { length } = model.patches
        own.forEach((picture, i) => {
          const towards = model.patches.join(velocity, i * length)
          const without = guided ? model.patches.join(velocity, (group + i) * length) : towards
          for (let c = 0; c < length; c++) {
            const v = guided ? without[c] + guidance * (towards[c] - without[c]) : towards[c]
            picture[c] += v / steps
          }
        })
      }
      yield { step: step + 1, steps, pictures: pictures.map((picture) => picture.slice()) }
    }
  } finally {
    program?.dispose()
    placed?.dispose()
  }
}

/** The end of it as pixels, [side * side * 3] each. */
export async function drawPictures(
  options: SampleOptions,
  onStep: (state: SampleState) => void = () => {},
): Promise<Uint8Array[]> {
  let pictures: readonly Float32Array[] = []
  for await (const state of sample(options)) {
    onStep(state)
    pictures = state.pictures
  }
  return pictures.map(toPixels)
}
