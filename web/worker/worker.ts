/**
 * The only place in a tab where models run. Holds one device, one base model, the person's examples and up to
 * two adapters (their own and the merged one); the page asks by the calls of api.ts, one job at a time.
 */
import { expose, transfer } from 'comlink'
import type { Adapter } from '../../models/adapters/adapter.ts'
import { readAdapterFile } from '../../models/adapters/adapter-file.ts'
import { readContinuation } from '../../models/adapters/continuation.ts'
import { startOf } from '../../models/adapters/initial.ts'
import { scaledAdapter } from '../../models/adapters/scaled.ts'
import { adapterChange, encodeUpdate } from '../../models/adapters/update-codec.ts'
import { createBrowserEngine } from '../../models/backend/browser.ts'
import type { Engine } from '../../models/backend/engine.ts'
import { nextTask } from '../../models/backend/next-task.ts'
import { hasWasmSimd } from '../../models/backend/wasm-simd.ts'
import { loadModel } from '../../models/catalog/load.ts'
import type { ModelSources } from '../../models/catalog/model-files.ts'
import type { LoadedModel, PictureModel, TextModel } from '../../models/families/family.ts'
import { readPeftAdapter } from '../../models/formats/peft.ts'
import { withCaption } from '../../models/pictures/kept-pictures.ts'
import { sha256Hex } from '../../models/sha256.ts'
import { checkAdapterFits } from '../../models/training/engine-adapter.ts'
import type { Example } from '../../models/training/model.ts'
import { measureStepSeconds } from '../../models/training/step-time.ts'
import { evaluate, TrainControl } from '../../models/training/trainer.ts'
import type { Manifest } from '../../relay/protocol/manifest.ts'
import { PageError } from '../state/problems.ts'
import { loadOutcome } from '../state/storage.ts'
import { problems } from '../strings/problems.ts'
import type {
  Drawn,
  DrawOptions,
  DrawProgress,
  Generated,
  GenerateOptions,
  LocalFile,
  ModelWorker,
  TrainOutcome,
  Which,
} from './api.ts'
import { BetweenSteps } from './between-steps.ts'
import { countDispatches, type DispatchCount } from './dispatch-count.ts'
import { draw, picturesPng } from './drawing.ts'
import { sendErrorCodes } from './errors.ts'
import { viewTokens } from './example-view.ts'
import { exportAdapter } from './exports.ts'
import { type LocalData, readLocalData } from './local-data.ts'
import {
  type LocalPictures,
  packFiles,
  packSheet,
  readLocalPictures,
  viewPictures,
} from './local-pictures.ts'
import { type FetchOptions, fetchModelFiles } from './model-files.ts'
import { windowsFor } from './model-room.ts'
import { claimWorker } from './only-once.ts'
import type { Pace } from './pace.ts'
import { MAX_MEASURED, spread } from './spread.ts'
import { runTraining } from './training.ts'
import { changeNorm, clipChange, summarise } from './update-choices.ts'

/** Where the page's server has tfjs's .wasm files. */
const WASM_PATH = '/wasm/'

/** Nucleus sampling: lively, and free of the unlikeliest tokens. */
const TEMPERATURE = 0.8
const TOP_P = 0.95

/** A model that has been loaded once comes from this browser's cache. */
const UNWATCHED: FetchOptions = { check: async () => {}, onProgress: () => {}, onRequest: () => {} }

let engine: Engine | null = null
let dispatches: DispatchCount | null = null
let loaded: LoadedModel | null = null
/** Of a batch, as many as the device has room for at once. */
let windows = 1
/** Of a room whose adapters start from a file. */
let startFile: Uint8Array | null = null
/** The version that training goes on from, in a room of several rounds. */
let continuation: Uint8Array | null = null
let data: LocalData | LocalPictures | null = null
/** The host's, to measure merged versions on. */
let measuringData: readonly Example[] | null = null
let own: { adapter: Adapter; outcome: TrainOutcome } | null = null
let merged: Adapter | null = null
let control: TrainControl | null = null
/** Of the steps whose time is taken before training. */
let measuring: TrainControl | null = null
/** Set while a run trains: what else needs the device goes through it. */
let between: BetweenSteps | null = null
let pace: Pace = 'full'
/** The adapter in training, as of its latest checkpoint. */
let training: { adapter: Adapter; step: number } | null = null
let generating: AbortController | null = null
let lesson: AbortController | null = null

/** The page asks in the order of its steps, so a missing part is a mistake of ours, not the person's. */
function need<T>(part: T | null, name: string): T {
  if (part === null) throw new PageError('page/order', problems.unknown(`${name} is not ready`))
  return part
}

/** A model that reads and writes text. */
function text(): TextModel {
  const ready = need(loaded, 'the model')
  if (ready.medium !== 'text')
    throw new PageError('page/order', problems.unknown('this model draws pictures'))
  return ready
}

/** A model that draws. */
function drawer(): PictureModel {
  const ready = need(loaded, 'the model')
  if (ready.medium !== 'pictures')
    throw new PageError('page/order', problems.unknown('this model writes text'))
  return ready
}

function adapterOf(which: Which): Adapter | null {
  switch (which) {
    case 'base':
      return null
    case 'own':
      return need(own, 'the adapter').adapter
    case 'merged':
      return need(merged, 'the merged adapter')
    default: {
      const never: never = which
      return never
    }
  }
}

/** Of a text every window, of pictures each: nothing is held out of what is only measured on. */
function readExamples(files: readonly LocalFile[], ready: LoadedModel, { recipe }: Manifest) {
  if (ready.medium === 'pictures') {
    const { report, train, heldOut } = readLocalPictures(files, ready)
    return { report, examples: [...train, ...heldOut] }
  }
  const { report, examples } = readLocalData(files, ready.tokenizer, recipe.tokens)
  return { report, examples: examples.map(({ example }) => example) }
}

/** Where everybody in the room begins. */
function startIn({ adapter }: Manifest): Adapter {
  const initial = startOf(adapter, adapter.seed, startFile)
  return continuation ? readContinuation(continuation, initial, adapter.form ?? 'lora') : initial
}

/**
 * A prompt as the model was trained to see one: by its template where it has one, else as the person's own data
 * have it.
 */
function promptIds({ tokenizer }: TextModel, prompt: string): number[] {
  if (tokenizer.hasChatTemplate)
    return tokenizer.encode(tokenizer.renderChat([{ role: 'user', content: prompt }], true))
  const ids = tokenizer.encode(
    data && 'hasConversations' in data && data.hasConversations ? `${prompt}\n` : prompt,
  )
  return tokenizer.addBos && tokenizer.bosId !== undefined ? [tokenizer.bosId, ...ids] : ids
}

async function write(
  { which, prompt, maxTokens }: GenerateOptions,
  onText: (text: string) => void,
): Promise<Generated> {
  const ready = text()
  // Before its first checkpoint the adapter in training has changed nothing.
  const adapter = which === 'training' ? (training?.adapter ?? null) : adapterOf(which)
  const step = which === 'training' ? (training?.step ?? 0) : null
  const abort = new AbortController()
  generating = abort
  const began = performance.now()
  let tokens = 0
  try {
    const stream = ready.generate({
      adapter,
      prompt: promptIds(ready, prompt),
      maxTokens,
      temperature: TEMPERATURE,
      topP: TOP_P,
      // The same draws for all, so that what differs comes from the adapters.
      seed: prompt,
      signal: abort.signal,
    })
    for await (const { text } of stream) {
      tokens += 1
      if (text !== '') onText(text)
      await nextTask()
    }
  } catch (error) {
    if (!abort.signal.aborted) throw error
  } finally {
    generating = null
  }
  return { tokens, tokensPerSecond: (1000 * tokens) / (performance.now() - began), step }
}

async function drawOne(options: DrawOptions, onProgress: (progress: DrawProgress) => void): Promise<Drawn> {
  const { which } = options
  const adapter = which === 'training' ? (training?.adapter ?? null) : adapterOf(which)
  const step = which === 'training' ? (training?.step ?? 0) : null
  const abort = new AbortController()
  generating = abort
  try {
    return { ...(await draw(drawer(), adapter, options, abort.signal, onProgress)), step }
  } finally {
    generating = null
  }
}

const models: ModelWorker = {
  async openDevice(backend, onLost) {
    const opened = await createBrowserEngine({ backend, wasmPath: WASM_PATH })
    engine = opened
    dispatches = countDispatches(opened)
    void opened.lost.then(onLost)
    const { executor, device, software, float16 } = opened
    return { backend: opened.backend, executor, device, software, float16, hasSimd: hasWasmSimd() }
  },

  async loadModel(manifest, purpose, onProgress, onRequest) {
    const { base, adapter } = manifest
    const device = need(engine, 'the device')
    let room = 0
    const check = async (sources: ModelSources) => {
      room = await windowsFor(sources, manifest, purpose, device)
    }
    const { files, report, tellLoading } = await fetchModelFiles(base, adapter.start, {
      check,
      onProgress,
      onRequest,
    })
    tellLoading()
    loaded?.dispose()
    loaded = loadModel(device, files.base)
    windows = room
    startFile = files.start
    return report
  },

  async packPictures(files, onFile) {
    const packed = await packFiles(files, drawer().side, onFile)
    return transfer(packed, [packed.bytes.buffer])
  },

  async packSheet(png, captions) {
    const packed = packSheet(png, captions, drawer().side)
    return transfer(packed, [packed.bytes.buffer])
  },

  async recaption(file, place, caption) {
    const changed = withCaption(file, place, caption)
    return transfer(changed, [changed.buffer])
  },

  async readData(files, manifest) {
    const ready = need(loaded, 'the model')
    data =
      ready.medium === 'pictures'
        ? readLocalPictures(files, ready)
        : readLocalData(files, ready.tokenizer, manifest.recipe.tokens)
    return data.report
  },

  async viewExample(index) {
    const read = need(data, 'the text')
    if (!('examples' in read)) throw new PageError('page/order', problems.unknown('these are pictures'))
    const { example, fileName } = need(read.examples[index] ?? null, 'the example')
    return {
      index,
      fileName,
      heldOut: read.heldOut.includes(example),
      tokens: example.ids.length,
      counted: example.counted,
      pieces: viewTokens(example, text().tokenizer),
    }
  },

  async viewPictures(first, count) {
    const read = need(data, 'the pictures')
    if (!('pictures' in read)) throw new PageError('page/order', problems.unknown('this is text'))
    return viewPictures(read, drawer().side, first, count)
  },

  async setStart(file) {
    continuation = file
  },

  async measureStep(options) {
    const { model } = need(loaded, 'the model')
    measuring = new TrainControl()
    const { manifest, steps, sessionKey } = options
    return measureStepSeconds({
      model,
      initial: startIn(manifest),
      form: manifest.adapter.form,
      examples: need(data, 'the text').train,
      recipe: { ...manifest.recipe, steps },
      seed: sessionKey,
      microBatch: windows,
      control: measuring,
    })
  },

  async stopMeasuring() {
    measuring?.stop()
  },

  async train(options, onProgress, onCheckpoint) {
    const { model } = need(loaded, 'the model')
    const examples = need(data, 'the text')
    control = new TrainControl()
    between = new BetweenSteps()
    pace = options.pace
    const queue = between
    try {
      const trained = await runTraining({
        model,
        windows,
        data: examples,
        options,
        initial: startIn(options.manifest),
        control,
        between,
        pace: () => pace,
        onAdapter: (adapter, step) => {
          training = { adapter, step }
        },
        onProgress,
        onCheckpoint,
      })
      own = trained
      return trained.outcome
    } finally {
      control = null
      between = null
      training = null
      // Whoever asked at the last step must not wait for ever.
      void queue.run()
    }
  },

  async pause() {
    control?.pause()
  },

  async resume() {
    await between?.wake()
    control?.resume()
  },

  async setPace(asked) {
    pace = asked
  },

  async stop() {
    await between?.wake()
    control?.stop()
  },

  async restoreOutcome(sessionKey) {
    const kept = await loadOutcome<TrainOutcome>(sessionKey)
    if (!kept) return null
    const adapter = readAdapterFile(kept.adapter)
    checkAdapterFits(need(loaded, 'the model').model, adapter)
    own = { adapter, outcome: kept.report }
    return kept.report
  },

  async packUpdate(manifest, manifestDigest, sessionKey, { includeExamples, clipNorm }, start) {
    const { adapter, outcome } = need(own, 'the adapter')
    const trained = adapterChange(adapter, startIn(manifest), manifest.adapter.form)
    const change = clipChange(trained, clipNorm)
    const examples = includeExamples ? Math.min(outcome.examples, manifest.limits.examples) : null
    const bytes = encodeUpdate({
      change,
      shape: manifest.adapter,
      manifestDigest,
      examples,
      encoding: manifest.update.encoding,
      start,
      seed: sessionKey,
    })
    const numbers = [...change.values()].reduce((sum, values) => sum + values.length, 0)
    const packed = {
      bytes,
      digest: sha256Hex(bytes),
      tensors: summarise(change),
      numbers,
      examples,
      trainedNorm: changeNorm(trained),
      norm: changeNorm(change),
    }
    return transfer(packed, [bytes.buffer])
  },

  async setMerged(config, weights) {
    const adapter = readPeftAdapter(config, weights)
    checkAdapterFits(need(loaded, 'the model').model, adapter)
    merged = adapter
  },

  async evaluate(which, manifest, onProgress) {
    const { model } = need(loaded, 'the model')
    const shape = { batch: windows, tokens: manifest.recipe.tokens }
    return evaluate(model, adapterOf(which), need(data, 'the text').heldOut, shape, onProgress)
  },

  async generate(options, onText) {
    return between ? between.add(() => write(options, onText)) : write(options, onText)
  },

  async draw(options, onProgress) {
    return between ? between.add(() => drawOne(options, onProgress)) : drawOne(options, onProgress)
  },

  async picturesPng(pictures, side, columns) {
    const png = picturesPng(pictures, side, columns)
    return transfer(png, [png.buffer])
  },

  async stopGenerating() {
    generating?.abort()
  },

  async readMeasuringData(files, manifest) {
    const ready = need(loaded, 'the model')
    const { report, examples } = readExamples(files, ready, manifest)
    measuringData = spread<Example>(examples, MAX_MEASURED[ready.medium])
    const counted = measuringData.reduce((sum, example) => sum + example.counted, 0)
    return { report, examples: measuringData.length, counted }
  },

  async measureMerged(scale, manifest, onProgress) {
    const { model } = need(loaded, 'the model')
    const adapter = scale === null ? null : scaledAdapter(need(merged, 'the merged adapter'), scale)
    const examples = need(measuringData, 'what to measure on')
    const shape = { batch: windows, tokens: manifest.recipe.tokens }
    return evaluate(model, adapter, examples, shape, onProgress)
  },

  async exportAdapter(which, format, base) {
    const { spec } = need(loaded, 'the model')
    return exportAdapter({
      adapter: which === 'own' ? need(own, 'the adapter').adapter : need(merged, 'the merged adapter'),
      format,
      baseModel: base.id,
      name: `${base.id}-${which}`,
      spec,
      // The device has the weights in its own form; the files come from this browser's storage.
      baseFiles: async () => (await fetchModelFiles(base, undefined, UNWATCHED)).files.base,
    })
  },

  async leakLesson(options, onEvent) {
    lesson?.abort()
    const mine = new AbortController()
    lesson = mine
    // Only whoever opens the lesson loads it.
    const { runLesson } = await import('./lesson.ts')
    await runLesson(need(engine, 'the device'), options, onEvent, mine.signal)
  },

  async stopLesson() {
    lesson?.abort()
  },

  async counters() {
    return { planDispatches: dispatches?.total() ?? 0, tfjsOps: engine?.tfjsOps() ?? 0 }
  },
}

claimWorker(globalThis)
sendErrorCodes()
expose(models)
