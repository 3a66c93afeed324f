/**
 * Pictures that the models draw: one caption on the way through training, always from the same noise, and on the last screen a
 * grid of captions by all three models.
 */
import { computed, effect, signal } from '@preact/signals'
import { DEFAULT_CAPTIONS } from '../strings/pictures.ts'
import type { Drawn, Which } from '../worker/api.ts'
import { inTurn } from './comparing.ts'
import { refreshCounters } from './counters.ts'
import { roundState } from './machine.ts'
import { drawsPictures } from './medium.ts'
import { toProblem } from './problems.ts'
import { timing } from './run-time.ts'
import { saveFile } from './save-file.ts'
import { device, files, loadedVersion, manifest, problem, trainReport } from './store.ts'
import { callback, inWorker, isDeviceProblem } from './worker-client.ts'

/** Enough to see what it is, and no longer than a training step or two; an emulated device takes its time. */
const PREVIEW_STEPS = 10
const PREVIEW_STEPS_EMULATED = 4
const PREVIEW_GUIDANCE = 2
/** Pictures of a run, besides the one before it. */
const PREVIEWS = 6
const PREVIEW_SEED = 'preview'

export const MOST_CAPTIONS = 8

export interface Preview {
  readonly caption: string
  /** Null: the base model. */
  readonly step: number | null
  readonly side: number
  readonly pixels: Uint8Array
}
export const previews = signal<readonly Preview[]>([])
export const previewing = signal(false)
export const typedPreviewCaption = signal<string | null>(null)
/** The first caption of the person's own pictures, once they are read. */
export const ownCaption = signal<string | null>(null)
export const previewCaption = computed(
  () => typedPreviewCaption.value ?? ownCaption.value ?? DEFAULT_CAPTIONS[0],
)

export const canPreview = computed(() => {
  const { at } = roundState.value
  return (
    (at === 'ready' && !timing.value) ||
    ((at === 'training' || at === 'paused') && trainReport.value !== null)
  )
})

async function drawPreview(which: 'base' | 'training'): Promise<void> {
  const caption = previewCaption.peek()
  const options = {
    which,
    captions: [caption],
    seed: PREVIEW_SEED,
    steps: device.peek()?.software ? PREVIEW_STEPS_EMULATED : PREVIEW_STEPS,
    guidance: PREVIEW_GUIDANCE,
  }
  const { side, pictures, step } = await inWorker((api) =>
    api.draw(
      options,
      callback(() => {}),
    ),
  )
  // Pictures of another caption tell nothing about this one.
  const others = previews.peek().filter((one) => one.caption === caption && one.step !== step)
  previews.value = [...others, { caption, step, side, pixels: pictures[0] }]
}

/** Draws the caption by the adapter as it is now, after the base model if that has not drawn it. */
export async function previewNow(): Promise<void> {
  if (previewing.peek() || !canPreview.peek()) return
  previewing.value = true
  try {
    const caption = previewCaption.peek()
    if (!previews.peek().some((one) => one.caption === caption && one.step === null))
      await drawPreview('base')
    if (roundState.peek().at !== 'ready') await drawPreview('training')
  } catch (error) {
    const found = toProblem(error)
    if (!isDeviceProblem(found)) problem.value = found
  } finally {
    previewing.value = false
  }
}

let drawnShare = 0
effect(() => {
  const report = trainReport.value
  if (report === null) {
    drawnShare = 0
    return
  }
  if (!drawsPictures.peek() || report.step === report.steps) return
  const share = Math.floor((PREVIEWS * report.step) / report.steps)
  if (share <= drawnShare) return
  drawnShare = share
  void previewNow()
})

export interface Drawing {
  readonly captions: readonly string[]
  readonly pictures: readonly Uint8Array[]
  readonly side: number
  readonly step: number
  readonly steps: number
  readonly active: boolean
  readonly seconds: number | null
}
const undrawn: Drawing = {
  captions: [],
  pictures: [],
  side: 0,
  step: 0,
  steps: 0,
  active: false,
  seconds: null,
}
export const drawings = {
  base: signal<Drawing>(undrawn),
  own: signal<Drawing>(undrawn),
  merged: signal<Drawing>(undrawn),
} satisfies Record<Which, unknown>
export const drawingNow = computed(() => Object.values(drawings).some((entry) => entry.value.active))

export const typedCaptions = signal<string>(DEFAULT_CAPTIONS.join('\n'))
export const seed = signal(1)
export const guidance = signal(2)
/** As the base model's own samples were drawn. */
export const drawSteps = signal(20)

/** One a line, none twice. */
export const captionsOf = (typed: string): string[] =>
  [...new Set(typed.split('\n').map((line) => line.trim()))]
    .filter((line) => line !== '')
    .slice(0, MOST_CAPTIONS)

interface Asked {
  readonly captions: readonly string[]
  readonly seed: number
  readonly guidance: number
  readonly steps: number
}
/** What is shown was drawn from this; null: nothing yet. */
export const asked = signal<Asked | null>(null)

/** Set while the person wants no more; what has not begun is then skipped. */
let stopRequested = false

export async function drawWithAll(): Promise<void> {
  const captions = captionsOf(typedCaptions.peek())
  if (captions.length === 0 || drawingNow.peek()) return
  problem.value = null
  stopRequested = false
  asked.value = { captions, seed: seed.peek(), guidance: guidance.peek(), steps: drawSteps.peek() }
  const which: Which[] = loadedVersion.peek() ? ['base', 'own', 'merged'] : ['base', 'own']
  for (const one of Object.keys(drawings) as Which[]) {
    drawings[one].value = { ...undrawn, captions, active: which.includes(one) }
  }
  await Promise.all(which.map((one) => inTurn(() => draw(one))))
  await refreshCounters()
}

async function draw(which: Which): Promise<void> {
  const wanted = asked.peek()
  const entry = drawings[which]
  if (wanted === null || stopRequested) {
    entry.value = { ...entry.peek(), active: false }
    return
  }
  const { captions, steps } = wanted
  const options = { which, captions, seed: String(wanted.seed), steps, guidance: wanted.guidance }
  entry.value = { ...undrawn, captions, steps, active: true }
  const onProgress = callback(({ step, pictures }: { step: number; pictures: readonly Uint8Array[] }) => {
    const now = entry.peek()
    if (now.active)
      entry.value = { ...now, step, pictures, side: Math.round(Math.sqrt(pictures[0].length / 3)) }
  })
  try {
    const drawn: Drawn = await inWorker((api) => api.draw(options, onProgress))
    entry.value = { ...entry.peek(), ...drawn, step: steps }
  } catch (error) {
    if (!stopRequested) throw error
  } finally {
    entry.value = { ...entry.peek(), active: false }
  }
}

export function stopDrawing(): void {
  stopRequested = true
  void inWorker((api) => api.stopGenerating())
}

// A version that comes while pictures are shown is drawn beside them.
effect(() => {
  const version = loadedVersion.value
  if (version === null || asked.peek() === null || !drawsPictures.peek()) return
  void inTurn(() => draw('merged'))
})

// Other pictures, another round: what was drawn is not of it.
effect(() => {
  if (files.value.length > 0) return
  previews.value = []
  ownCaption.value = null
  typedPreviewCaption.value = null
  asked.value = null
  for (const entry of Object.values(drawings)) entry.value = undrawn
})

/** The whole grid as one PNG: a row a caption, base, own and merged beside each other. */
export async function saveDrawings(): Promise<void> {
  const room = manifest.peek()
  const shown = Object.values(drawings)
    .map((entry) => entry.peek())
    .filter(({ pictures }) => pictures.length > 0)
  if (!room || shown.length === 0) return
  const rows = shown[0].captions.flatMap((_, row) => shown.map(({ pictures }) => pictures[row]))
  const png = await inWorker((api) => api.picturesPng(rows, shown[0].side, shown.length))
  saveFile(`${room.room}-pictures.png`, new Blob([new Uint8Array(png)], { type: 'image/png' }))
}
