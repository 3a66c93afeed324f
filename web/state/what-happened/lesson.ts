/** The leak lesson as the page steers it: the worker trains and measures, this file follows and counts the time. */
import { computed, signal } from '@preact/signals'
import { LEAK_DEFAULTS, type LeakEvent, type LeakMeasure } from '../../../lab/leak/experiment.ts'
import { drawCode, isCode } from '../../../lab/leak/secret.ts'
import { openDevice } from '../preparing.ts'
import { toProblem } from '../problems.ts'
import { samples } from '../samples.ts'
import { saveFile } from '../save-file.ts'
import { address, device, problem } from '../store.ts'
import { recordWire } from '../wire.ts'
import { callback, inWorker } from '../worker-client.ts'

export const lessonSeed = '1'
export const code = signal(drawCode(lessonSeed))
export const copies = signal<number>(LEAK_DEFAULTS.copies)
/** Fewer where the address asks for fewer. */
const steps = () => Math.min(address.peek().steps ?? LEAK_DEFAULTS.steps, LEAK_DEFAULTS.steps)
export const codeIsFine = computed(() => isCode(code.value))

type Progress = Extract<LeakEvent, { readonly kind: 'progress' }>
export const lessonProgress = signal<Progress | null>(null)
export const secondsLeft = signal(Number.POSITIVE_INFINITY)
export const running = signal(false)
export const measures = signal<readonly LeakMeasure[]>([])
/** What the measures at hand are of. */
export const measuredCode = signal('')

async function sampleTexts(): Promise<string[]> {
  return Promise.all(
    samples.map(async ({ url }) => {
      const text = await (await fetch(url)).text()
      recordWire({ direction: 'in', event: `GET ${url}`, bytes: text.length, payload: null })
      return text
    }),
  )
}

export async function startLesson(): Promise<void> {
  if (running.peek() || !codeIsFine.peek()) return
  running.value = true
  problem.value = null
  measures.value = []
  measuredCode.value = code.peek()
  lessonProgress.value = null
  secondsLeft.value = Number.POSITIVE_INFINITY
  try {
    await openDevice()
    const texts = await sampleTexts()
    const began = performance.now()
    const onEvent = callback((event: LeakEvent) => {
      if (event.kind === 'measured') {
        measures.value = [...measures.peek(), event.measure]
        return
      }
      lessonProgress.value = event
      const seconds = (performance.now() - began) / 1000
      secondsLeft.value =
        event.fraction > 0 ? (seconds * (1 - event.fraction)) / event.fraction : Number.POSITIVE_INFINITY
    })
    const options = {
      ...LEAK_DEFAULTS,
      seed: lessonSeed,
      code: code.peek(),
      copies: copies.peek(),
      steps: steps(),
      texts,
    }
    await inWorker((api) => api.leakLesson(options, onEvent))
  } catch (error) {
    problem.value = toProblem(error)
  } finally {
    running.value = false
    lessonProgress.value = null
  }
}

export function stopLesson(): void {
  void inWorker((api) => api.stopLesson())
}

export function saveMeasures(): void {
  const about = {
    code: measuredCode.peek(),
    copies: copies.peek(),
    steps: steps(),
    seed: lessonSeed,
    device: device.peek()?.device ?? null,
    measures: measures.peek(),
  }
  saveFile('leak-lesson.json', `${JSON.stringify(about, null, 2)}\n`)
}
