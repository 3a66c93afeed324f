/** Pictures with captions as training sees them, whichever family learns from them. */
import type { Example } from './model.ts'

/** One pass of a picture through a model that learns to take noise away. */
export interface NoisePass {
  /** From 0, all noise, to 1, the picture. */
  readonly time: number
  /** [side * side * 3], drawn when it is asked for: the same numbers each time. */
  noise(): Float32Array
}

export interface PictureExample extends Example {
  /** [side * side * 3], rows from the top, RGB. */
  readonly pixels: Uint8Array
  /** The caption's ids, as long as the model takes them. */
  readonly ids: Int32Array
  /** Set by the model for the pass at hand. */
  readonly pass?: NoisePass
}
