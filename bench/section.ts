/** What every section of the bench is given. */
import type { BestProduct } from './best-product.ts'
import type { WebgpuPair } from './devices.ts'
import type { Peaks } from './peaks.ts'
import type { Log } from './run-bench.ts'
import type { SmolLm2 } from './smollm2.ts'

export interface BenchContext {
  readonly log: Log
  /** Sentences that make figures of this run unfit to be believed; sections add to them. */
  readonly faults: string[]
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
  /** This engine alone, without plain tfjs beside it. */
  readonly own: boolean
  /** Whether wasm takes part. */
  readonly wasm: boolean
  /** Found by one section, used by another. */
  readonly found: Found
}

/** The device's peaks and the engine's best product on WebGPU, measured when first needed. */
export interface Found {
  peaks?: Peaks
  bestProduct?: BestProduct
}

/** Where a section cannot run. */
export interface Skipped {
  readonly skipped: string
}

export const NO_WEBGPU: Skipped = { skipped: 'no WebGPU adapter' }
