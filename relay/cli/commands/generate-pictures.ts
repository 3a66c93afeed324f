/** The part of `generate` that draws: captions in, one PNG file out. */
import type { Adapter } from '../../../models/adapters/adapter.ts'
import type { PictureModel } from '../../../models/families/family.ts'
import { pictureGrid } from '../../../models/pictures/grid.ts'
import { writePng } from '../../../models/pictures/write-png.ts'
import type { Arguments, OptionSpecs } from '../args.ts'
import type { Console } from '../console.ts'
import { UsageError } from '../errors.ts'
import { writeChunks } from '../files.ts'
import type { RunningModel } from '../running-model.ts'

const DEFAULT_STEPS = 20
const DEFAULT_GUIDANCE = 3
/** Pictures of 32 pixels are hard to see. */
const DEFAULT_ENLARGE = 4
const MOST_CAPTIONS = 256

export const DRAWING_OPTIONS: OptionSpecs = {
  out: { type: 'string', value: 'FILE.png', help: 'pictures: file to write' },
  steps: { type: 'string', value: 'N', help: `pictures: steps from noise, default ${DEFAULT_STEPS}` },
  guidance: {
    type: 'string',
    value: 'X',
    help: `pictures: how much the caption counts, 1 is none, default ${DEFAULT_GUIDANCE}`,
  },
  enlarge: {
    type: 'string',
    value: 'N',
    help: `pictures: each pixel as a square of N, default ${DEFAULT_ENLARGE}`,
  },
}

export interface Drawing {
  readonly captions: readonly string[]
  readonly out: string
  readonly steps: number
  readonly guidance: number
  readonly enlarge: number
  /** Pictures that pass through the model together. */
  readonly atOnce: number
}

/** Throws UsageError. */
export function readDrawing(args: Arguments, captions: readonly string[]): Drawing {
  if (captions.length > MOST_CAPTIONS)
    throw new UsageError(`At most ${MOST_CAPTIONS} captions are drawn at once.`)
  const guidance = args.number('guidance', { least: 0, most: 100 }) ?? DEFAULT_GUIDANCE
  return {
    captions,
    out: args.needed('out', 'name the .png file for the pictures'),
    steps: args.integer('steps', { least: 1, most: 1000 }) ?? DEFAULT_STEPS,
    guidance,
    enlarge: args.integer('enlarge', { least: 1, most: 32 }) ?? DEFAULT_ENLARGE,
    atOnce: Math.min(captions.length, 16) * (guidance === 1 ? 1 : 2),
  }
}

export async function drawToFile(
  running: RunningModel & PictureModel,
  adapter: Adapter | null,
  { captions, out, steps, guidance, enlarge }: Drawing,
  seed: string,
  console: Console,
  signal: AbortSignal,
): Promise<void> {
  const progress = console.progress('Drawing', steps, 'steps')
  const began = performance.now()
  try {
    let pictures: Uint8Array[] = []
    for await (const state of running.draw({ adapter, captions, seed, steps, guidance, signal })) {
      progress.update(state.step)
      if (state.step === steps) pictures = state.pictures()
    }
    const seconds = (performance.now() - began) / 1000
    progress.finish(`${(pictures.length / seconds).toFixed(2)} pictures/s`)
    const grid = pictureGrid(pictures, running.side, { enlarge })
    const bytes = await writeChunks(out, [writePng(grid.pixels, grid.width, grid.height)])
    const { width, height, columns } = grid
    console.result({
      out,
      pictures: pictures.length,
      columns,
      width,
      height,
      bytes,
      steps,
      guidance,
      seed,
      backend: running.engine.backend,
    })
    console.print(`${out}: ${pictures.length} pictures, ${width} x ${height}, seed ${seed}\n`)
  } catch (error) {
    progress.abort()
    throw error
  }
}
