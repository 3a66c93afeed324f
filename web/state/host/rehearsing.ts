/**
 * A rehearsal: simulated students join a room of their own, train on the samples that come with the page in this
 * tab's worker, one after the other, and send. For the relay they are participants like any other, so the host sees what the class will see.
 */
import { signal } from '@preact/signals'
import * as v from 'valibot'
import { CONTINUATION_FILE } from '../../../models/adapters/continuation.ts'
import { mediumOf } from '../../../models/families/media.ts'
import { RelayClient } from '../../../relay/client/client.ts'
import type { Manifest } from '../../../relay/protocol/manifest.ts'
import { console as text } from '../../strings/host.ts'
import { problems } from '../../strings/problems.ts'
import type { TrainReport } from '../../worker/api.ts'
import { PageError, toProblem } from '../problems.ts'
import { rehearsalName } from '../relay-http.ts'
import { forgetSession } from '../storage.ts'
import { problem } from '../store.ts'
import { callback, inWorker } from '../worker-client.ts'
import { act, createNamed } from './acting.ts'
import * as relay from './host-http.ts'
import { hostManifest, hostManifestDigest, overview } from './host-store.ts'
import { go } from './place.ts'
import { fetchSample, samplesFor } from './sample-data.ts'
import { inTurn, prepareFor } from './worker-queue.ts'

export interface Rehearsal {
  readonly room: string
  readonly students: number
  /** Who is at work, from 1. */
  readonly student: number
  readonly step: number
  readonly steps: number
  /** Of the whole recipe, as measured in the steps that were trained here; null before there are any. */
  readonly secondsForRecipe: number | null
}

export const rehearsal = signal<Rehearsal | null>(null)
/** Of the last simulated student that finished in this tab. */
export const measuredRecipeSeconds = signal<number | null>(null)

let stopAsked = false
export const stopRehearsal = () => {
  stopAsked = true
  void inWorker((api) => api.stop())
}

const MAX_TITLE_CHARACTERS = 120

/** The same terms under another name and seed: what is sent there counts nowhere else. */
export function rehearsalOf(manifest: Manifest, room: string, seed: string): Manifest {
  const { receiptKey: _, ...terms } = manifest
  return {
    ...terms,
    room,
    title: text.rehearsalTitle(manifest.title || manifest.room).slice(0, MAX_TITLE_CHARACTERS),
    adapter: { ...manifest.adapter, seed },
  }
}

export const openRehearsal = (students: number, steps: number) =>
  act('rehearse', async () => {
    const terms = hostManifest.peek()
    if (!terms) return null
    const seed = crypto.getRandomValues(new Uint32Array(4)).join('-')
    const room = await createNamed(rehearsalName(terms.room), (name) => rehearsalOf(terms, name, seed))
    go({ view: 'room', room })
    const found = await relay.fetchHostManifest(room)
    hostManifest.value = found.manifest
    hostManifestDigest.value = found.digest
    void simulate(found.manifest, found.digest, students, steps)
    return null
  })

/** More of them, in the rehearsal room at hand. */
export function addStudents(students: number, steps: number): void {
  const manifest = hostManifest.peek()
  if (manifest) void simulate(manifest, hostManifestDigest.peek(), students, steps)
}

/** What a reload of this tab should go on with: the student at work begins anew, as another participant. */
const keptSchema = v.object({
  room: v.string(),
  students: v.pipe(v.number(), v.integer(), v.minValue(1)),
  steps: v.pipe(v.number(), v.integer(), v.minValue(1)),
})
const KEPT_KEY = 'oneround-rehearsal'

function keep(left: v.InferOutput<typeof keptSchema> | null): void {
  try {
    if (left) sessionStorage.setItem(KEPT_KEY, JSON.stringify(left))
    else sessionStorage.removeItem(KEPT_KEY)
  } catch {
    // Storage is switched off: a reload then ends the rehearsal.
  }
}

/** The students that a reload has cut off, in the rehearsal room at hand. */
export function goOnRehearsing(): void {
  const manifest = hostManifest.peek()
  if (!manifest || rehearsal.peek()) return
  try {
    const kept = v.safeParse(keptSchema, JSON.parse(sessionStorage.getItem(KEPT_KEY) ?? 'null'))
    if (kept.success && kept.output.room === manifest.room)
      addStudents(kept.output.students, kept.output.steps)
  } catch {
    // Nothing of ours, or no storage.
  }
}

async function simulate(manifest: Manifest, digest: string, students: number, steps: number): Promise<void> {
  if (rehearsal.peek()) return
  stopAsked = false
  const earlier = overview.peek()?.room === manifest.room ? overview.peek()!.contributions.length : 0
  const at = (student: number, step: number, secondsForRecipe: number | null = null): Rehearsal => ({
    room: manifest.room,
    students,
    student,
    step,
    steps,
    secondsForRecipe,
  })
  rehearsal.value = at(1, 0)
  for (let student = 1; student <= students && !stopAsked; student += 1) {
    await inTurn(async () => {
      if (stopAsked) return
      rehearsal.value = at(student, 0)
      keep({ room: manifest.room, students: students - student + 1, steps })
      await simulateOne(manifest, digest, earlier + student - 1, steps, ({ step, seconds }) => {
        rehearsal.value = at(student, step, seconds)
      })
    })
  }
  rehearsal.value = null
  keep(null)
}

async function simulateOne(
  manifest: Manifest,
  manifestDigest: string,
  number: number,
  steps: number,
  onStep: (at: { step: number; seconds: number }) => void,
): Promise<void> {
  const samples = samplesFor(manifest)
  const sample = samples[number % samples.length]
  const { steps: recipeSteps, batch, tokens } = manifest.recipe
  // A picture is counted once, a text by its tokens.
  const recipeUnits = recipeSteps * batch * (mediumOf(manifest.base.family) === 'pictures' ? 1 : tokens)
  const sessionKey = `${manifest.room}/simulated-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`
  const client = new RelayClient()
  // Deleted meanwhile: nothing could be sent any more.
  client.on('state', ({ phase }) => {
    if (phase === 'failed') stopRehearsal()
  })
  try {
    await client.join(location.origin, manifest.room, undefined, overview.peek()?.joinCode ?? undefined)
    void client.report({ stage: 'loading' })
    await prepareFor(manifest)
    void client.report({ stage: 'data' })
    const file = await sample.read(await fetchSample(sample))
    await inWorker((api) => api.readData([file], manifest))
    const { round, version } = await client.roundStart()
    const start = version ? (await client.download(version)).get(CONTINUATION_FILE) : null
    if (start === undefined) throw new PageError('network/download', problems.relayUnreachable)
    await inWorker((api) => api.setStart(start))
    let reportedAt = 0
    const onProgress = callback((report: TrainReport) => {
      const seconds = recipeUnits / report.tokensPerSecond
      measuredRecipeSeconds.value = seconds
      onStep({ step: report.step, seconds })
      const now = performance.now()
      if (now - reportedAt < 1000 && report.step < report.steps) return
      reportedAt = now
      const { step, tokensPerSecond } = report
      void client.report({ stage: 'training', step, steps: report.steps, tokensPerSecond })
    })
    await inWorker((api) =>
      api.train(
        {
          manifest,
          steps: Math.min(steps, recipeSteps),
          sessionKey,
          round,
          fresh: true,
          paused: false,
          pace: 'full',
        },
        onProgress,
        callback(() => {}),
      ),
    )
    const update = await inWorker((api) =>
      api.packUpdate(
        manifest,
        manifestDigest,
        sessionKey,
        { includeExamples: true, clipNorm: null },
        version?.digest ?? null,
      ),
    )
    void client.report({ stage: 'sending' })
    await client.upload(update.bytes)
    void client.report({ stage: 'sent' })
  } catch (error) {
    // The next one would fail the same way.
    stopAsked = true
    const found = toProblem(error)
    // The host knows: it was the host's own doing.
    if (found.code !== 'room/deleted') problem.value = found
  } finally {
    client.close()
    await forgetSession(sessionKey).catch(() => {})
  }
}
