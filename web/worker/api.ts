/**
 * What the page may ask of its worker, the only place in a tab where models run. Every call is asynchronous;
 * bytes that cross are transferred, not copied, where the sender is done with them. Errors cross with their
 * stable `code` and their sentence.
 */
import type { LeakEvent, LeakOptions } from '../../lab/leak/experiment.ts'
import type { BackendName, ExecutorName, HalfUse } from '../../models/backend/engine.ts'
import type { Manifest } from '../../relay/protocol/manifest.ts'
import type { TokenView } from './example-view.ts'
import type { Pace } from './pace.ts'
import type { TensorSummary } from './update-choices.ts'

export type BackendChoice = BackendName | 'auto'

export interface DeviceReport {
  readonly backend: BackendName
  readonly executor: ExecutorName
  readonly device: string
  readonly software: boolean
  readonly float16: readonly HalfUse[]
  /** Of WebAssembly here, whichever backend runs. */
  readonly hasSimd: boolean
}

export interface ModelProgress {
  readonly stage: 'downloading' | 'verifying' | 'loading'
  readonly receivedBytes: number
  readonly totalBytes: number
  readonly bytesPerSecond: number
  readonly secondsLeft: number
  /** Bytes of files that this browser had kept from an earlier visit. */
  readonly cachedBytes: number
}

/** Of the relay. */
export interface ModelRequest {
  readonly path: string
  /** Of the answer. */
  readonly bytes: number
}

export interface ModelReport {
  readonly totalBytes: number
  readonly cachedBytes: number
  readonly downloadedBytes: number
  /** Files were kept for the next visit. */
  readonly kept: boolean
}

export interface LocalFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** A picture file that has not been read. */
export interface PictureFile {
  /** With the path inside its folder. */
  readonly name: string
  readonly file: Blob
}

/** Pictures that were read, for `readData` as one file; nothing else of their files is in it. */
export interface PackedPictures {
  readonly bytes: Uint8Array
  readonly pictures: number
}

export interface SkippedRow {
  /** Of several that were read together. */
  readonly file?: string
  /** Line of the file, from 1. */
  readonly line?: number
  /** Or the document made of it, from 1, where a row could be read but makes no example. */
  readonly document?: number
  readonly reason: string
}

export interface FileReport {
  readonly name: string
  readonly fileBytes: number
  readonly documents: number
  /** Windows cut from it. */
  readonly examples: number
  /** Tokens of these whose prediction counts. */
  readonly tokens: number
  /** Rows that fill a whole window: what they have beyond it is not used. */
  readonly fullRows: number
  readonly skipped: readonly SkippedRow[]
  /** Set when nothing of the file can be used. */
  readonly problem: { readonly code: string; readonly message: string } | null
}

export interface DataReport {
  readonly files: readonly FileReport[]
  readonly documents: number
  /** Windows of text that training learns from. */
  readonly trainExamples: number
  /** Windows kept aside to measure the loss on. */
  readonly heldOutExamples: number
  /** Tokens whose prediction counts, held-out part included. */
  readonly tokens: number
  /** The most tokens an example has. */
  readonly windowTokens: number
}

/** What of the host's text or pictures is measured on. */
export interface MeasuringData {
  readonly report: DataReport
  /** Windows, or pictures: at most MAX_MEASURED of them, spread evenly. */
  readonly examples: number
  /** Tokens in them whose prediction counts; of pictures their number. */
  readonly counted: number
}

/** One example as the model sees it. */
export interface ExampleView {
  readonly index: number
  readonly fileName: string
  readonly heldOut: boolean
  readonly tokens: number
  /** Of these, how many the model is trained to predict. */
  readonly counted: number
  readonly pieces: readonly TokenView[]
}

/** One picture as the model sees it. */
export interface PictureView {
  readonly name: string
  readonly caption: string
  readonly heldOut: boolean
  /** RGB [side * side * 3]. */
  readonly pixels: Uint8Array
  /** Which of the files given to `readData` holds it, and at which place. */
  readonly file: number
  readonly place: number
}

export interface PictureViews {
  readonly side: number
  readonly pictures: readonly PictureView[]
}

export interface TrainOptions {
  readonly manifest: Manifest
  /** Steps to run; the recipe's own number, or fewer where the address says so. */
  readonly steps: number
  /** Where checkpoints are kept in this browser; also makes this tab's order of examples its own. */
  readonly sessionKey: string
  /** Of the room: each has an order of examples of its own. */
  readonly round: number
  /** From step 1, whatever checkpoint is kept. */
  readonly fresh: boolean
  /** Begins paused: a reload does not end a pause. */
  readonly paused: boolean
  readonly pace: Pace
}

export interface TrainReport {
  readonly step: number
  readonly steps: number
  readonly loss: number
  readonly heldOutLoss: number | null
  readonly tokensPerSecond: number
  readonly secondsLeft: number
}

export interface TrainOutcome {
  readonly steps: number
  readonly plannedSteps: number
  readonly stopped: boolean
  readonly examples: number
  readonly tokens: number
  readonly tokensPerSecond: number
  readonly best: { readonly step: number; readonly heldOutLoss: number } | null
}

export interface PackedUpdate {
  readonly bytes: Uint8Array
  readonly digest: string
  readonly tensors: readonly TensorSummary[]
  readonly numbers: number
  readonly examples: number | null
  /** Length of what training changed, before clipping: L2 norm over all numbers. */
  readonly trainedNorm: number
  /** The same of what is in the update. */
  readonly norm: number
}

/** What the person decides about their own update. */
export interface UpdateChoices {
  readonly includeExamples: boolean
  /** Longest change to send; null: as it is. */
  readonly clipNorm: number | null
}

/** PEFT's folder in a zip, llama.cpp's file, or the whole model with the adapter in it, in a zip. */
export type ExportFormat = 'peft' | 'gguf' | 'merged'

export type Which = 'base' | 'own' | 'merged'

export interface Evaluation {
  /** Mean, in the unit of the model's family. */
  readonly loss: number
  readonly counted: number
}

/** What writes: one of the three models, or the adapter in training as it was at its latest checkpoint. */
export type Writer = Which | 'training'

export interface GenerateOptions {
  readonly which: Writer
  readonly prompt: string
  readonly maxTokens: number
}

export interface Generated {
  readonly tokens: number
  readonly tokensPerSecond: number
  /** Steps that the adapter in training had seen; null for the others. */
  readonly step: number | null
}

export interface DrawOptions {
  readonly which: Writer
  readonly captions: readonly string[]
  /** Of the noise. */
  readonly seed: string
  readonly steps: number
  /** How much the caption counts; 1: as learned. */
  readonly guidance: number
}

export interface DrawProgress {
  readonly step: number
  readonly steps: number
  /** RGB [side * side * 3] a caption, as they are by now. */
  readonly pictures: readonly Uint8Array[]
}

export interface Drawn {
  readonly side: number
  readonly pictures: readonly Uint8Array[]
  readonly seconds: number
  /** Steps that the adapter in training had seen; null for the others. */
  readonly step: number | null
}

export interface Counters {
  /** WebGPU dispatches that the recorded plans replayed so far. */
  readonly planDispatches: number
  /** Ops that went through tfjs so far. */
  readonly tfjsOps: number
}

export type Purpose = 'train' | 'measure'

/** Calls that need a model throw until loadModel has resolved, those that need an adapter until there is one. */
export interface ModelWorker {
  /** Measures the backends for 'auto'. `onLost` is called at most once, with one sentence. */
  openDevice(backend: BackendChoice, onLost: (message: string) => void): Promise<DeviceReport>
  /**
   * To train it as the manifest says, or only to measure. Refused, a large one before it is downloaded, where the device
   * has no room for that.
   */
  loadModel(
    manifest: Manifest,
    purpose: Purpose,
    onProgress: (progress: ModelProgress) => void,
    onRequest: (request: ModelRequest) => void,
  ): Promise<ModelReport>
  /** For models that learn from pictures: reads files into what `readData` takes, so that the files need not be kept. */
  packPictures(
    files: readonly PictureFile[],
    onFile: (done: number, total: number) => void,
  ): Promise<PackedPictures>
  /** The same of a sheet of the samples. */
  packSheet(png: Uint8Array, captions: readonly string[]): Promise<PackedPictures>
  /** A file of pictures with other words to one of them. Throws DataError `pictures/caption` for none. */
  recaption(file: Uint8Array, place: number, caption: string): Promise<Uint8Array>
  /** Replaces the examples. */
  readData(files: readonly LocalFile[], manifest: Manifest): Promise<DataReport>
  /** Where training goes on from: the file beside a version of the room, or null for the room's own start. */
  setStart(file: Uint8Array | null): Promise<void>
  /** Seconds a step of such a run takes here; null where it was stopped first. Nothing of it is kept. */
  measureStep(options: Pick<TrainOptions, 'manifest' | 'steps' | 'sessionKey'>): Promise<number | null>
  stopMeasuring(): Promise<void>
  /** `onCheckpoint` is called with the step that was kept, or with null when this browser keeps none. */
  train(
    options: TrainOptions,
    onProgress: (report: TrainReport) => void,
    onCheckpoint: (step: number | null) => void,
  ): Promise<TrainOutcome>
  /** Example `index` of those that readData found, in their order. */
  viewExample(index: number): Promise<ExampleView>
  /** `count` pictures from `first`, of those that readData found, in their order. */
  viewPictures(first: number, count: number): Promise<PictureViews>
  pause(): Promise<void>
  resume(): Promise<void>
  /** Takes effect after the step at hand. */
  setPace(pace: Pace): Promise<void>
  /** Ends training after the step at hand; the best adapter so far is kept. */
  stop(): Promise<void>
  /** What an earlier visit trained, if this browser kept it. */
  restoreOutcome(sessionKey: string): Promise<TrainOutcome | null>
  /** The same bytes for the same adapter and session, so that sending again is the same update. */
  packUpdate(
    manifest: Manifest,
    manifestDigest: string,
    sessionKey: string,
    choices: UpdateChoices,
    /** Digest of the version that training went on from; null for the room's own start. */
    start: string | null,
  ): Promise<PackedUpdate>
  setMerged(config: Uint8Array, weights: Uint8Array): Promise<void>
  evaluate(which: Which, manifest: Manifest, onProgress: (fraction: number) => void): Promise<Evaluation>
  /** While a run trains, this waits for the end of a step and the run for this. */
  generate(options: GenerateOptions, onText: (text: string) => void): Promise<Generated>
  /** The same for models that draw. Throws the abort's reason when it is stopped. */
  draw(options: DrawOptions, onProgress: (progress: DrawProgress) => void): Promise<Drawn>
  /** Ends a text or a drawing at the next step. */
  stopGenerating(): Promise<void>
  /** Pictures of one size as one file, `columns` in a row. */
  picturesPng(pictures: readonly Uint8Array[], side: number, columns: number): Promise<Uint8Array>
  exportAdapter(which: 'own' | 'merged', format: ExportFormat, base: Manifest['base']): Promise<Blob>
  /** The host's own text or pictures to measure on; what readData has read stays beside it. */
  readMeasuringData(files: readonly LocalFile[], manifest: Manifest): Promise<MeasuringData>
  /** Loss on these, of the base (null) or of the merged adapter at a scale. */
  measureMerged(
    scale: number | null,
    manifest: Manifest,
    onProgress: (fraction: number) => void,
  ): Promise<Evaluation>
  /** The leak lesson, on the embedded model; needs a device and nothing else. Resolves when done or stopped. */
  leakLesson(options: LeakOptions, onEvent: (event: LeakEvent) => void): Promise<void>
  stopLesson(): Promise<void>
  counters(): Promise<Counters>
}
