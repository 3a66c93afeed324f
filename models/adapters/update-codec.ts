/**
 * What a client sends: the change of what it trained, in one safetensors file: A - A0 and B - B0; of FFA B - B0 alone,
 * of LoRA-SB R - R0 alone. The change and not A itself, because quantising A would drown it: an error of 7-26 % of
 * the change against 1 %.
 *
 * i8: tensor NAME in its own shape as I8, and NAME.scale F32 [ceil(n / 64)], one scale a block of 64 entries
 * in row-major order; an entry is code * scale, codes -127 to 127. Rounding is stochastic, so that the mean
 * over clients is unbiased: code = floor(x / scale + u), u in [0, 1) from word i % 4 of Philox counter
 * [floor(i / 4), 0, 0, 0] under key (seed, NAME + ".round"). f16, f32: NAME alone, to the nearest.
 *
 * __metadata__: format, version, manifest (digest of the room's manifest), start (digest of the version that training
 * continued from, where it did) and, unless the person chose to keep it, examples. Nothing else may be in the file:
 * what is reviewed is what is sent.
 */
import { FormatError } from '../errors.ts'
import { float16ToFloat32, float32ToFloat16 } from '../formats/half.ts'
import {
  bytesOf,
  readSafetensorsHeaderSync,
  type SafetensorsEntry,
  type SafetensorsHeaderEntry,
  type SafetensorsInput,
  safetensorsBytes,
  writeSafetensors,
} from '../formats/safetensors.ts'
import { SHA256_HEX } from '../sha256.ts'
import {
  type Adapter,
  type AdapterForm,
  type AdapterShape,
  factorSpecs,
  factorsOf,
  formOf,
  type LoraFactors,
  type NamedFactor,
} from './adapter.ts'
import { philox4x32, seedKey } from './random.ts'

export type UpdateEncoding = 'i8' | 'f16' | 'f32'

export const UPDATE_ENCODINGS: readonly UpdateEncoding[] = ['i8', 'f16', 'f32']

/** By PEFT tensor name; A's in [rank, inFeatures], B's in [outFeatures, rank], R's in [rank, rank]. */
export type AdapterChange = ReadonlyMap<string, Float32Array>

export type UpdateErrorCode =
  | 'update/malformed'
  | 'update/format-version'
  | 'update/wrong-manifest'
  | 'update/unknown-tensor'
  | 'update/missing-tensor'
  | 'update/wrong-shape'
  | 'update/wrong-dtype'
  | 'update/not-finite'
  | 'update/examples'

/** An update that is refused whole. */
export class UpdateError extends FormatError {
  declare readonly code: UpdateErrorCode

  constructor(code: UpdateErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options)
  }
}

export const UPDATE_FORMAT = 'oneround-update'
export const UPDATE_VERSION = '1'

/** Entries that share a scale in i8. */
export const SCALE_BLOCK = 64

/** Merging sums round(x * 2^24) * examples exactly in doubles only up to this count. */
export const MAX_EXAMPLES = 1_000

const MAX_CODE = 127

/** 127 times the scale must stay a float32; only changes beyond 3.3e38 meet this. */
const MAX_SCALE = 2 ** 121

/** The tensors an update of this shape holds: what its form trains, in the order A, B, R, module by module. */
function tensorSpecs({ modules, rank, form = 'lora' }: AdapterShape): NamedFactor[] {
  return modules.flatMap((module) => factorSpecs(module, rank, form).filter(({ trained }) => trained))
}

const elements = ({ shape }: NamedFactor) => shape[0] * shape[1]
const scaleName = (tensor: string) => `${tensor}.scale`
const DTYPES = { i8: 'I8', f16: 'F16', f32: 'F32' } as const

/** Scales first: they need an alignment of 4, and the codes between them would break it. */
function fileEntries(shape: AdapterShape, encoding: UpdateEncoding): SafetensorsEntry[] {
  const specs = tensorSpecs(shape)
  const values = specs.map((spec) => ({ name: spec.name, dtype: DTYPES[encoding], shape: spec.shape }))
  if (encoding !== 'i8') return values
  const scales = specs.map((spec) => ({
    name: scaleName(spec.name),
    dtype: 'F32' as const,
    shape: [Math.ceil(elements(spec) / SCALE_BLOCK)],
  }))
  return [...scales, ...values]
}

function metadataOf(
  manifestDigest: string,
  examples: number | null,
  start: string | null,
): Record<string, string> {
  const metadata = {
    format: UPDATE_FORMAT,
    version: UPDATE_VERSION,
    manifest: manifestDigest,
    ...(start !== null && { start }),
  }
  return examples === null ? metadata : { ...metadata, examples: String(examples) }
}

/**
 * The largest an update of this shape can be, exact where the example count has as many digits as its limit.
 * `continues`: in a room where training goes on from a version.
 */
export function updateBytes(shape: AdapterShape, encoding: UpdateEncoding, continues = false): number {
  const digest = '0'.repeat(64)
  const metadata = metadataOf(digest, MAX_EXAMPLES, continues ? digest : null)
  return safetensorsBytes(fileEntries(shape, encoding), metadata)
}

function quantise(
  values: Float32Array,
  name: string,
  seed: string,
): { codes: Int8Array; scales: Float32Array } {
  const codes = new Int8Array(values.length)
  const scales = new Float32Array(Math.ceil(values.length / SCALE_BLOCK))
  const key = seedKey(seed, `${name}.round`)
  const words = new Uint32Array(4)
  for (let block = 0; block < scales.length; block++) {
    const start = block * SCALE_BLOCK
    const end = Math.min(start + SCALE_BLOCK, values.length)
    let largest = 0
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(values[i]))
    scales[block] = Math.min(largest / MAX_CODE, MAX_SCALE)
    const scale = scales[block] // as float32, what the decoder multiplies by
    if (scale === 0) continue
    for (let i = start; i < end; i++) {
      if (i % 4 === 0) philox4x32([i / 4, 0, 0, 0], key, words)
      const uniform = (words[i % 4] >>> 8) * 2 ** -24
      // The float32 scale may lie a little under largest / 127: hold the largest entry at 127.
      const code = Math.max(-MAX_CODE, Math.min(MAX_CODE, values[i] / scale))
      codes[i] = Math.floor(code + uniform)
    }
  }
  return { codes, scales }
}

function assertFinite(values: Float32Array, name: string, hint: string): void {
  for (const value of values) {
    if (!Number.isFinite(value)) {
      throw new UpdateError(
        'update/not-finite',
        `The update's ${name} holds ${value}, not a number; ${hint}.`,
      )
    }
  }
}

export interface UpdateInput {
  readonly change: AdapterChange
  readonly shape: AdapterShape
  /** Hexadecimal SHA-256 of the room's manifest. */
  readonly manifestDigest: string
  /** 1 to MAX_EXAMPLES; null leaves the count out of the file. */
  readonly examples: number | null
  readonly encoding: UpdateEncoding
  /** Digest of the version that training started from; left out or null where it was the room's initial adapter. */
  readonly start?: string | null
  /** Of the rounding; drawn by the client, so that roundings of different clients are independent. */
  readonly seed: string
}

/**
 * @throws UpdateError `update/not-finite` when the training left the numbers (or the encoding cannot hold
 * them), `update/missing-tensor`, `update/wrong-shape`, `update/unknown-tensor`, `update/examples`.
 */
export function encodeUpdate(input: UpdateInput): Uint8Array {
  const { change, shape, manifestDigest, examples, encoding, seed, start = null } = input
  if (!SHA256_HEX.test(manifestDigest)) {
    throw new UpdateError('update/malformed', `${JSON.stringify(manifestDigest)} is not a SHA-256 digest.`)
  }
  if (start !== null && !SHA256_HEX.test(start)) {
    throw new UpdateError('update/malformed', `${JSON.stringify(start)} is not a SHA-256 digest.`)
  }
  if (examples !== null) checkExamples(examples)
  const specs = tensorSpecs(shape)
  const bytes = new Map<string, Uint8Array>()
  for (const spec of specs) {
    const values = change.get(spec.name)
    if (!values) throw new UpdateError('update/missing-tensor', `The change lacks ${spec.name}.`)
    if (values.length !== elements(spec)) {
      throw new UpdateError(
        'update/wrong-shape',
        `The change's ${spec.name} has ${values.length} entries, the room's shape [${spec.shape}] ${elements(spec)}.`,
      )
    }
    assertFinite(values, spec.name, 'train again with a lower learning rate')
    if (encoding === 'i8') {
      const { codes, scales } = quantise(values, spec.name, seed)
      bytes.set(spec.name, bytesOf(codes))
      bytes.set(scaleName(spec.name), bytesOf(scales))
    } else if (encoding === 'f16') {
      const halves = float32ToFloat16(values)
      assertFinite(float16ToFloat32(halves), spec.name, 'F16 ends at 65,504: send F32')
      bytes.set(spec.name, bytesOf(halves))
    } else {
      bytes.set(spec.name, bytesOf(values))
    }
  }
  if (change.size !== specs.length) {
    const known = new Set(specs.map((spec) => spec.name))
    const extra = [...change.keys()].find((name) => !known.has(name))
    throw new UpdateError(
      'update/unknown-tensor',
      `The change holds ${extra}, which the room does not train.`,
    )
  }
  const tensors: SafetensorsInput[] = fileEntries(shape, encoding).map((entry) => ({
    ...entry,
    bytes: bytes.get(entry.name) as Uint8Array,
  }))
  return writeSafetensors(tensors, metadataOf(manifestDigest, examples, start))
}

function checkExamples(examples: number): number {
  if (!Number.isInteger(examples) || examples < 1 || examples > MAX_EXAMPLES) {
    throw new UpdateError(
      'update/examples',
      `The update counts ${examples} examples; it must be a whole number from 1 to ${MAX_EXAMPLES}.`,
    )
  }
  return examples
}

function readMetadata({ metadata }: UpdateHeader): {
  examples: number
  manifestDigest: string
  start: string | null
} {
  if (metadata.get('format') !== UPDATE_FORMAT) {
    throw new UpdateError(
      'update/malformed',
      `The file is not marked as ${UPDATE_FORMAT}; send what "train" packed, not an adapter.`,
    )
  }
  if (metadata.get('version') !== UPDATE_VERSION) {
    throw new UpdateError(
      'update/format-version',
      `The update is of format version ${JSON.stringify(metadata.get('version') ?? null)}, this relay reads ${UPDATE_VERSION}; reload the page or update the program.`,
    )
  }
  for (const key of metadata.keys()) {
    if (!['format', 'version', 'manifest', 'start', 'examples'].includes(key)) {
      throw new UpdateError(
        'update/malformed',
        `The update carries ${JSON.stringify(key)}, which does not belong in it.`,
      )
    }
  }
  const manifestDigest = metadata.get('manifest') ?? ''
  if (!SHA256_HEX.test(manifestDigest)) {
    throw new UpdateError(
      'update/malformed',
      'The update names no manifest; pack it again with this program.',
    )
  }
  const start = metadata.get('start') ?? null
  if (start !== null && !SHA256_HEX.test(start)) {
    throw new UpdateError('update/malformed', 'The update continues from what is no version; pack it again.')
  }
  const examples = metadata.get('examples')
  if (examples === undefined) return { examples: 1, manifestDigest, start }
  if (!/^[1-9][0-9]{0,15}$/.test(examples)) {
    throw new UpdateError('update/examples', "The update's example count is not a whole number above 0.")
  }
  return { examples: checkExamples(Number(examples)), manifestDigest, start }
}

/** The encoding the first of the room's tensors is in; every other one is then held to it. */
function encodingOf({ tensors }: UpdateHeader, specs: readonly NamedFactor[]): UpdateEncoding {
  for (const { name } of specs) {
    const tensor = tensors.get(name)
    if (!tensor) continue
    const encoding = UPDATE_ENCODINGS.find((candidate) => DTYPES[candidate] === tensor.dtype)
    if (encoding) return encoding
    throw new UpdateError(
      'update/wrong-dtype',
      `The update's ${name} is ${tensor.dtype}; I8, F16 and F32 are read.`,
    )
  }
  throw new UpdateError('update/missing-tensor', 'The update holds none of the tensors this room trains.')
}

/** Every entry of the file must be there, in its dtype and shape, and nothing else. */
function checkEntries({ tensors }: UpdateHeader, shape: AdapterShape, encoding: UpdateEncoding): void {
  const entries = fileEntries(shape, encoding)
  const known = new Set(entries.map((entry) => entry.name))
  for (const name of tensors.keys()) {
    if (!known.has(name)) {
      throw new UpdateError(
        'update/unknown-tensor',
        `The update holds ${JSON.stringify(name.slice(0, 120))}, which this room does not train.`,
      )
    }
  }
  for (const entry of entries) {
    const tensor = tensors.get(entry.name)
    if (!tensor) throw new UpdateError('update/missing-tensor', `The update lacks ${entry.name}.`)
    if (tensor.dtype !== entry.dtype) {
      throw new UpdateError(
        'update/wrong-dtype',
        `The update's ${entry.name} is ${tensor.dtype}, not ${entry.dtype}.`,
      )
    }
    if (
      tensor.shape.length !== entry.shape.length ||
      tensor.shape.some((size, axis) => size !== entry.shape[axis])
    ) {
      throw new UpdateError(
        'update/wrong-shape',
        `The update's ${entry.name} is [${tensor.shape.slice(0, 8)}], this room trains [${entry.shape}].`,
      )
    }
  }
}

function dequantise(name: string, codes: Int8Array, scales: Float32Array): Float32Array {
  for (const scale of scales) {
    if (scale < 0)
      throw new UpdateError('update/malformed', `The update's ${scaleName(name)} holds a negative scale.`)
  }
  const values = new Float32Array(codes.length)
  for (let i = 0; i < codes.length; i++) {
    if (codes[i] < -MAX_CODE)
      throw new UpdateError('update/malformed', `The update's ${name} holds the code -128.`)
    values[i] = codes[i] * scales[Math.floor(i / SCALE_BLOCK)]
  }
  return values
}

export interface DecodedUpdate {
  /** 1 where the update does not say. */
  readonly examples: number
  readonly manifestDigest: string
  /** Digest of the version that training started from; null where it was the room's initial adapter. */
  readonly start: string | null
  readonly encoding: UpdateEncoding
  readonly change: Map<string, Float32Array>
}

/** Where an update's bytes are: in memory, or in a file that is read as it is needed. */
export interface UpdateBytes {
  readonly bytes: number
  /** Exactly so many bytes, which are there. */
  read(offset: number, length: number): Uint8Array
}

/** An update whose header has been checked; its numbers are decoded, and checked, when they are asked for. */
export interface OpenUpdate extends Omit<DecodedUpdate, 'change'> {
  /** Tensors of the change. */
  readonly size: number
  /** Anew at each call. Throws UpdateError where the numbers are no change. */
  get(tensor: string): Float32Array | undefined
}

/**
 * Reads the header of an update from a stranger, and none of its numbers. Allocates no more than the header is long.
 *
 * @throws UpdateError with the code of what is wrong first.
 */
export function openUpdate(
  source: UpdateBytes,
  expected: { readonly shape: AdapterShape; readonly manifestDigest?: string },
): OpenUpdate {
  const file = parseUpdateHeader(source)
  const { examples, manifestDigest, start } = readMetadata(file)
  if (expected.manifestDigest !== undefined && manifestDigest !== expected.manifestDigest) {
    throw new UpdateError(
      'update/wrong-manifest',
      'The update was trained for another room or for an older version of this one; join again and train.',
    )
  }
  const specs = tensorSpecs(expected.shape)
  const encoding = encodingOf(file, specs)
  checkEntries(file, expected.shape, encoding)
  const names = new Set(specs.map(({ name }) => name))
  /** Bytes of a tensor laid at the start of a buffer of their own. */
  const raw = (name: string): ArrayBuffer => {
    const { begin, end } = file.tensors.get(name) as SafetensorsHeaderEntry
    return new Uint8Array(source.read(file.dataStart + begin, end - begin)).buffer
  }
  return {
    examples,
    manifestDigest,
    start,
    encoding,
    size: names.size,
    get(name) {
      if (!names.has(name)) return undefined
      let values: Float32Array
      if (encoding === 'i8') {
        const scales = new Float32Array(raw(scaleName(name)))
        assertFinite(scales, scaleName(name), 'train again')
        values = dequantise(name, new Int8Array(raw(name)), scales)
      } else if (encoding === 'f16') {
        values = float16ToFloat32(new Uint16Array(raw(name)))
      } else {
        values = new Float32Array(raw(name))
      }
      assertFinite(values, name, 'train again with a lower learning rate')
      return values
    },
  }
}

/**
 * Reads a whole update from a stranger. Allocates no more than the expected shape needs.
 *
 * @throws UpdateError with the code of what is wrong first.
 */
export function decodeUpdate(
  bytes: Uint8Array,
  expected: { readonly shape: AdapterShape; readonly manifestDigest?: string },
): DecodedUpdate {
  const open = openUpdate(
    { bytes: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) },
    expected,
  )
  const { examples, manifestDigest, start, encoding } = open
  const change = new Map<string, Float32Array>()
  for (const { name } of tensorSpecs(expected.shape)) change.set(name, open.get(name) as Float32Array)
  return { examples, manifestDigest, start, encoding, change }
}

interface UpdateHeader {
  readonly tensors: ReadonlyMap<string, SafetensorsHeaderEntry>
  readonly metadata: ReadonlyMap<string, string>
  readonly dataStart: number
}

function parseUpdateHeader(source: UpdateBytes): UpdateHeader {
  try {
    const { entries, metadata, dataStart } = readSafetensorsHeaderSync(source)
    return { tensors: new Map(entries.map((entry) => [entry.name, entry])), metadata, dataStart }
  } catch (error) {
    if (error instanceof FormatError)
      throw new UpdateError('update/malformed', error.message, { cause: error })
    throw error
  }
}

/**
 * What training changed, of the tensors that the form trains. Without a form the adapter's own: FFA must be named.
 *
 * @throws UpdateError `update/wrong-shape` when the two adapters are not of one shape.
 */
export function adapterChange(
  adapter: Adapter,
  initial: Adapter,
  form: AdapterForm = formOf(initial),
): Map<string, Float32Array> {
  const change = new Map<string, Float32Array>()
  if (adapter.modules.size !== initial.modules.size) throw differentShapes('the number of modules')
  for (const start of initial.modules.values()) {
    const end = adapter.modules.get(start.name)
    if (!end || (end.r === undefined) !== (start.r === undefined)) throw differentShapes(start.name)
    const after = factorsOf(end, form)
    factorsOf(start, form).forEach(({ name, trained, values }, i) => {
      if (trained) change.set(name, combine(after[i].values, values, -1, name))
    })
  }
  return change
}

/** initial + change, in float32; what the form does not train stays as it is. */
export function applyChange(
  initial: Adapter,
  change: AdapterChange,
  form: AdapterForm = formOf(initial),
): Adapter {
  const modules = new Map<string, LoraFactors>()
  for (const start of initial.modules.values()) {
    const [a, b, r] = factorsOf(start, form).map(({ name, trained, values }) => {
      if (!trained) return values
      const own = change.get(name)
      if (!own) throw differentShapes(start.name)
      return combine(values, own, 1, name)
    })
    modules.set(start.name, { ...start, a, b, ...(r && { r }) })
  }
  return { modules }
}

function combine(x: Float32Array, y: Float32Array, sign: 1 | -1, name: string): Float32Array {
  if (x.length !== y.length) throw differentShapes(name)
  return x.map((value, i) => value + sign * y[i])
}

const differentShapes = (where: string) =>
  new UpdateError(
    'update/wrong-shape',
    `The adapter and the room's initial one differ in ${where}; join again.`,
  )
