/**
 * What the rest of the project knows of a family of models. A family is one folder under `models/`: it reads its own
 * configuration, names the layers an adapter can sit on, takes its weights and makes a `Model` of them. What a person
 * gives and gets (text, pictures) is its medium, which commands and page go by; nothing outside names a family.
 */
import type { Adapter, AdapterModule } from '../adapters/adapter.ts'
import type { Engine } from '../backend/engine.ts'
import type { ByteSource } from '../formats/byte-source.ts'
import type { GgufHeader } from '../formats/gguf-header.ts'
import type { StoredTensor } from '../formats/stored-tensor.ts'
import type { Picture } from '../pictures/picture.ts'
import type { GeneratedToken, TextOptions } from '../text/generate.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { TextExample } from '../text/windows.ts'
import type { Split } from '../training/holdout.ts'
import type { BatchShape, Example, Model } from '../training/model.ts'
import type { PictureExample } from '../training/pictures.ts'
import type { Recipe } from '../training/recipe.ts'
import type { Medium } from './media.ts'
import type { Placer, Placing } from './placing.ts'

export type { Medium } from './media.ts'

/** What a person may choose of a recipe; the rest is the family's. */
export interface RecipeChoices {
  readonly steps?: number | undefined
  readonly batch?: number | undefined
  readonly tokens?: number | undefined
  readonly learningRate?: number | undefined
}

/** Of tfjs's backends, which manage their own memory: estimates in bytes. */
export interface EagerMemory {
  /** Constants besides the file's tensors. */
  readonly constantBytes: number
  readonly stepBytes: number
  readonly largestBytes: number
}

/** What comes of GGUF files, for families that llama.cpp knows. */
export interface GgufSupport {
  readAdapter(source: ByteSource): Promise<Adapter>
  /** The file in pieces. */
  writeAdapter(adapter: Adapter, name: string): Generator<Uint8Array, void, undefined>
  /** Tensors that a folder in Hugging Face's layout does not have. */
  readonly ownTensors: ReadonlySet<string>
  /** The folder's small files, as JSON values, for a model that came as a GGUF file. */
  folderFiles(
    metadata: GgufHeader['metadata'],
    valuesOf: (tensor: string) => Promise<Float32Array | undefined>,
  ): Promise<ReadonlyMap<string, Record<string, unknown>>>
}

/** Parsed tokenizer.json and tokenizer_config.json ({} where there is none). */
export interface TokenizerFiles {
  readonly tokenizer: unknown
  readonly config: unknown
}

/** One model of a family, by its configuration alone: no weight and no tokenizer is read for it. */
export interface ModelSpec {
  /** The family's id, as manifests name it. */
  readonly family: string
  readonly medium: Medium
  /** Every linear layer an adapter can sit on, in the model's order. */
  readonly modules: readonly AdapterModule[]
  /** Those that are trained unless others are asked for. */
  readonly targets: readonly AdapterModule[]
  /** Rows of one example: those of a text may be chosen up to `most`, those of a picture are what they are. */
  readonly tokens: { readonly usual: number; readonly most: number; readonly chosen: boolean }
  /** How it is trained where nothing else is asked for. */
  recipe(choices: RecipeChoices): Recipe
  eagerMemory(work: BatchShape & { readonly trained: boolean }): EagerMemory
  /** Takes the weights; then the model on this engine, or for sizes on another of its kind. */
  placing(placer: Placer): Placing<(engine: Engine) => Model>
  /**
   * With its tokenizer, by its files or those in a GGUF file it came from: what makes a placed model ready.
   *
   * @throws FormatError `tokenizer/…`, `model/vocabulary`
   */
  opening(files: TokenizerFiles | null): (model: Model) => LoadedModel
  readonly gguf: GgufSupport | null
}

interface Loaded<M extends Medium, E extends Example> {
  readonly medium: M
  readonly spec: ModelSpec
  readonly model: Model
  readonly vocabularyDigest: string
  /** A tenth to measure on, by the examples' content. */
  split(examples: readonly E[]): Split<E>
  dispose(): void
}

export interface TextModel extends Loaded<'text', TextExample> {
  readonly tokenizer: Tokenizer
  /** Tokens that end a text. */
  readonly endIds: readonly number[]
  generate(options: TextOptions): AsyncGenerator<GeneratedToken>
}

export interface DrawOptions {
  readonly adapter: Adapter | null
  readonly captions: readonly string[]
  /** Of the noise: picture i of a seed has the same noise whatever the captions. */
  readonly seed: string
  readonly steps: number
  /** How much the caption counts; 1: no guidance. */
  readonly guidance: number
  readonly signal?: AbortSignal | undefined
}

export interface DrawState {
  /** Steps done. */
  readonly step: number
  readonly steps: number
  /** RGB [side * side * 3], one a caption, as they are by now. */
  pictures(): Uint8Array[]
}

export interface PictureModel extends Loaded<'pictures', PictureExample> {
  /** Pixels along an edge of what it learns from and draws. */
  readonly side: number
  /** @throws DataError `pictures/side` for another size */
  example(picture: Pick<Picture, 'caption' | 'pixels' | 'side'>): PictureExample
  /** Yields the noise first, then the state after each step. */
  draw(options: DrawOptions): AsyncGenerator<DrawState, void, void>
}

export type LoadedModel = TextModel | PictureModel

export interface Family {
  readonly id: string
  /** Whether a config.json is one of its. */
  reads(config: Readonly<Record<string, unknown>>): boolean
  /** @throws FormatError `config/…` */
  fromConfig(config: unknown): ModelSpec
  /** For a family that comes in GGUF files: undefined where this one is not of it. */
  fromGguf?(header: GgufHeader): {
    readonly spec: ModelSpec
    /** By Hugging Face's name. */
    tensors(): ReadonlyMap<string, StoredTensor>
  }
}
