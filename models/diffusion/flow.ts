/**
 * Flow matching: a straight way from noise at time 0 to the picture at time 1, x_t = (1 - t) noise + t picture, along
 * which the model learns the velocity, picture - noise. Liu et al. 2022, https://arxiv.org/abs/2209.03003 ; Lipman et
 * al. 2022, https://arxiv.org/abs/2210.02747
 *
 * Pictures are [side, side, RGB] from -1 (black) to 1 (white); the model sees them as patches, [patches, patch].
 */
import { RandomStream } from '../adapters/random.ts'
import { sha256Hex } from '../sha256.ts'
import type { PictureExample } from '../training/pictures.ts'
import { CHANNELS, type DiffusionConfig, patchWidth } from './config.ts'
import { NormalStream, normalNoise } from './noise.ts'

/** pixel / 127.5 - 1, as float32. */
export const toUnit = (pixels: Uint8Array): Float32Array =>
  Float32Array.from(pixels, (pixel) => Math.fround(Math.fround(pixel / 127.5) - 1))

/** Clamped to [-1, 1]; halves are rounded to the even number, as PyTorch does. */
export function toPixels(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (value) => {
    const scaled = Math.fround((Math.min(1, Math.max(-1, value)) + 1) * 127.5)
    const below = Math.floor(scaled)
    if (scaled - below === 0.5) return below + (below % 2)
    return Math.round(scaled)
  })
}

/** Index in a picture of each number of its patches: patch rows, patch columns, then row, column and RGB inside. */
function patchOrder({ imageSize, patchSize }: DiffusionConfig): Uint32Array {
  const side = imageSize / patchSize
  const order = new Uint32Array(imageSize ** 2 * CHANNELS)
  let at = 0
  for (let patchRow = 0; patchRow < side; patchRow++)
    for (let patchColumn = 0; patchColumn < side; patchColumn++)
      for (let row = 0; row < patchSize; row++)
        for (let column = 0; column < patchSize; column++)
          for (let channel = 0; channel < CHANNELS; channel++)
            order[at++] =
              ((patchRow * patchSize + row) * imageSize + patchColumn * patchSize + column) * CHANNELS +
              channel
  return order
}

/** Pictures to patches and back. */
export class Patches {
  /** Numbers of one picture. */
  readonly length: number
  readonly #order: Uint32Array

  constructor(config: DiffusionConfig) {
    this.#order = patchOrder(config)
    this.length = this.#order.length
  }

  /** Writes one picture's patches to `to` from `begin`. */
  cut(picture: Float32Array, to: Float32Array, begin: number): void {
    for (let i = 0; i < this.length; i++) to[begin + i] = picture[this.#order[i]]
  }

  /** The picture whose patches begin there. */
  join(patches: Float32Array, begin: number): Float32Array {
    const picture = new Float32Array(this.length)
    for (let i = 0; i < this.length; i++) picture[this.#order[i]] = patches[begin + i]
    return picture
  }
}

/** cos and sin of 1000 t / 10000^(i / half): angles reach 1,000 radians, so they are taken in float64. */
export function writeTimeFeatures(
  config: DiffusionConfig,
  time: number,
  to: Float32Array,
  begin: number,
): void {
  const half = config.timeFeatures / 2
  for (let i = 0; i < half; i++) {
    const angle = config.timeScale * time * Math.exp((-Math.log(config.timeMaxPeriod) / half) * i)
    to[begin + i] = Math.cos(angle)
    to[begin + half + i] = Math.sin(angle)
  }
}

/** x_t and the velocity to be learnt. */
export function mixed(picture: Float32Array, noise: Float32Array, time: number) {
  const t = Math.fround(time)
  const rest = Math.fround(1 - t)
  return {
    x: Float32Array.from(picture, (value, i) => Math.fround(rest * noise[i]) + Math.fround(t * value)),
    velocity: Float32Array.from(picture, (value, i) => value - noise[i]),
  }
}

/** Of the captions in training; the empty one is what guidance compares with. */
const DROPPED_CAPTIONS = 0.1

/** Times are logistic(N(mean, 1)): more of them in the middle, where there is most to learn. */
const TIME_MEAN = -0.3

/** The empty caption: unconditional. */
export function emptyCaption({ captionTokens, bosId, padId }: DiffusionConfig): Int32Array {
  return new Int32Array(captionTokens).fill(padId).fill(bosId, 0, 1)
}

/** A step's examples, each with a time and noise of its own, one in ten without its caption; by seed, step and place. */
export function trainingPasses(
  config: DiffusionConfig,
  examples: readonly PictureExample[],
  seed: string,
  step: number,
): PictureExample[] {
  const count = patchWidth(config) * (config.imageSize / config.patchSize) ** 2
  return examples.map((example, place) => {
    const label = `step ${step} place ${place}`
    const dropped = new RandomStream(seed, `${label} caption`).nextFloat() < DROPPED_CAPTIONS
    const time = 1 / (1 + Math.exp(-(new NormalStream(seed, `${label} time`).next() + TIME_MEAN)))
    return {
      ...example,
      ids: dropped ? emptyCaption(config) : example.ids,
      pass: { time, noise: () => normalNoise(seed, `${label} noise`, count) },
    }
  })
}

/** Where a loss is measured: the middles of four quarters. */
export const MEASURED_TIMES = [0.125, 0.375, 0.625, 0.875] as const

/** Each picture at four fixed times, with noise that depends on picture, caption and time alone. */
export function measuredPasses(examples: readonly PictureExample[]): PictureExample[] {
  return examples.flatMap((example) => {
    const { pixels, ids } = example
    const content = new Uint8Array(pixels.length + ids.byteLength)
    content.set(pixels)
    content.set(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength), pixels.length)
    const digest = sha256Hex(content)
    return MEASURED_TIMES.map((time) => ({
      ...example,
      pass: { time, noise: () => normalNoise('measured', `${digest} ${time}`, pixels.length) },
    }))
  })
}
