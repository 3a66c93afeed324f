/** What every section of the bench is given. */
import type { WebgpuPair } from './devices.ts'
import type { SmolLm2 } from './smollm2.ts'

export type Log = (line: string) => void

export interface BenchContext {
  readonly log: Log
  /** Null where there is no adapter. */
  readonly webgpu: WebgpuPair | null
  /** Null where the file was not named. */
  readonly smolLm2: SmolLm2 | null
  /** Seconds a contestant is timed for at most, beyond its least number of runs. */
  readonly seconds: number
  /** Null for the usual ones. */
  readonly shapes: readonly string[] | null
  /** Pictures a step of the text-to-image model. */
  readonly pictures: number
  /** Whether wasm takes part. */
  readonly wasm: boolean
  /** Found by one section, used by another. */
  readonly found: Found
}

/** Best speeds of the engine's own products and of the device, where the sections that measure them have run. */
export interface Found {
  peakFmaGflops?: number
  bandwidthGBs?: number
  bestMatmulGflops?: number
}

/** Where a section cannot run. */
export interface Skipped {
  readonly skipped: string
}
