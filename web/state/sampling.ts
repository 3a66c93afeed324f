/**
 * What the model writes from the person's prompt, before training and while it trains: the base model once a
 * prompt, the adapter in training as often as asked. The worker fits it in between two steps.
 */
import { computed, signal } from '@preact/signals'
import { result } from '../strings/result.ts'
import type { Writer } from '../worker/api.ts'
import { roundState } from './machine.ts'
import { PAIRS_FILE_NAME, readPairs } from './pairs.ts'
import { toProblem } from './problems.ts'
import { timing } from './run-time.ts'
import { files, problem, trainReport, type Writing } from './store.ts'
import { callback, inWorker, isDeviceProblem } from './worker-client.ts'

/** A few sentences; on a slow device a longer one would keep training waiting. */
const SAMPLE_TOKENS = 40

export interface Sample extends Writing {
  readonly prompt: string
  /** Steps the writer had been trained for; null for the base model. */
  readonly step: number | null
}

/** Null until the person has changed it: the first question they wrote, or a beginning. */
const typedPrompt = signal<string | null>(null)
export const samplePrompt = computed(
  () =>
    typedPrompt.value ??
    readPairs(files.value.find(({ name }) => name === PAIRS_FILE_NAME))[0]?.question ??
    result.promptDefault,
)
export const setSamplePrompt = (prompt: string) => {
  typedPrompt.value = prompt
}

export const sampleBefore = signal<Sample | null>(null)
export const sampleNow = signal<Sample | null>(null)
export const sampling = computed(() => Boolean(sampleBefore.value?.active || sampleNow.value?.active))

/** Before the first step the device is busy with the base model's loss. */
export const canSample = computed(() => {
  const { at } = roundState.value
  return (
    (at === 'ready' && !timing.value) ||
    ((at === 'training' || at === 'paused') && trainReport.value !== null)
  )
})

export async function writeSample(): Promise<void> {
  if (sampling.peek() || !canSample.peek()) return
  const prompt = samplePrompt.peek()
  problem.value = null
  try {
    if (sampleBefore.peek()?.prompt !== prompt) {
      sampleNow.value = null
      await write(sampleBefore, 'base', prompt)
    }
    if (roundState.peek().at !== 'ready') await write(sampleNow, 'training', prompt)
  } catch (error) {
    const found = toProblem(error)
    if (!isDeviceProblem(found)) problem.value = found
  }
}

async function write(shown: typeof sampleNow, which: Writer, prompt: string): Promise<void> {
  shown.value = { prompt, text: '', tokens: 0, tokensPerSecond: null, step: null, active: true }
  const onText = callback((text: string) => {
    const now = shown.peek()
    if (now?.active) shown.value = { ...now, text: now.text + text }
  })
  try {
    const written = await inWorker((api) => api.generate({ which, prompt, maxTokens: SAMPLE_TOKENS }, onText))
    const now = shown.peek()
    if (now) shown.value = { ...now, ...written }
  } finally {
    const now = shown.peek()
    if (now) shown.value = { ...now, active: false }
  }
}

export function forgetSamples(): void {
  sampleBefore.value = null
  sampleNow.value = null
}
