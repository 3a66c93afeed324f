/**
 * What the merged adapter must be, computed the long way from the files on disk, sharing no code with the
 * relay's merge or with the codec: every client's delta as a dense matrix in float64, their weighted mean, and
 * the published factors multiplied out. (Only A0, which docs/protocol.md fixes by test vectors, is the library's.)
 */
import { initialAdapter } from '../../models/adapters/initial.ts'
import type { Manifest } from '../../relay/protocol/index.ts'

interface RawTensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Buffer
}

interface RawFile {
  readonly tensors: ReadonlyMap<string, RawTensor>
  readonly metadata: Readonly<Record<string, string>>
}

/** Safetensors: u64 header length, JSON header, data. */
export function readRaw(file: Buffer): RawFile {
  const headerBytes = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString('utf8'))
  const tensors = new Map<string, RawTensor>()
  for (const [name, entry] of Object.entries<{
    dtype: string
    shape: number[]
    data_offsets: [number, number]
  }>(header)) {
    if (name === '__metadata__') continue
    const [start, end] = entry.data_offsets.map((offset) => 8 + headerBytes + offset)
    tensors.set(name, { dtype: entry.dtype, shape: entry.shape, bytes: file.subarray(start, end) })
  }
  return { tensors, metadata: header.__metadata__ ?? {} }
}

function values({ tensors }: RawFile, name: string): Float64Array {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new Error(`no tensor ${name}`)
  const { dtype, bytes } = tensor
  if (dtype === 'F32') {
    return Float64Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4))
  }
  if (dtype !== 'I8') throw new Error(`${name} is ${dtype}`)
  const scale = tensors.get(`${name}.scale`)?.bytes
  if (scale === undefined) throw new Error(`${name} has no scale`)
  return Float64Array.from(bytes, (_, i) => bytes.readInt8(i) * scale.readFloatLE((i >> 6) * 4))
}

/** target [out, in] += weight * B [out, rank] A [rank, in] */
function addProduct(
  target: Float64Array,
  weight: number,
  b: Float64Array,
  a: Float64Array,
  rank: number,
): void {
  const inFeatures = a.length / rank
  const outFeatures = b.length / rank
  for (let o = 0; o < outFeatures; o++) {
    for (let r = 0; r < rank; r++) {
      const factor = weight * b[o * rank + r]
      for (let i = 0; i < inFeatures; i++) target[o * inFeatures + i] += factor * a[r * inFeatures + i]
    }
  }
}

export interface ModuleComparison {
  readonly name: string
  /** Squared Frobenius norm of the exact mean. */
  readonly energy: number
  /** Share of that energy in which published and exact differ. */
  readonly missing: number
  /** Of the difference and the published delta: 0 for a best approximation, which a truncated SVD is. */
  readonly cosine: number
  readonly rank: number
}

export function compareWithDenseMean(
  manifest: Manifest,
  updateFiles: readonly Buffer[],
  mergedWeights: Buffer,
): ModuleComparison[] {
  const initial = initialAdapter(manifest.adapter, manifest.adapter.seed)
  const updates = updateFiles.map(readRaw)
  const examples = updates.map(({ metadata }) => Number(metadata.examples ?? 1))
  const allExamples = examples.reduce((sum, n) => sum + n, 0)
  const merged = readRaw(mergedWeights)
  const { rank, alpha } = manifest.adapter
  return manifest.adapter.modules.map(({ name, inFeatures, outFeatures }) => {
    const start = initial.modules.get(name)
    if (start === undefined) throw new Error(`no module ${name}`)
    const exact = new Float64Array(outFeatures * inFeatures)
    for (const [k, update] of updates.entries()) {
      const a = values(update, `${name}.lora_A.weight`).map((change, i) => change + start.a[i])
      const b = values(update, `${name}.lora_B.weight`).map((change, i) => change + start.b[i])
      addProduct(exact, (examples[k] / allExamples) * (alpha / rank), b, a, rank)
    }
    const mergedA = values(merged, `${name}.lora_A.weight`)
    const mergedB = values(merged, `${name}.lora_B.weight`)
    const mergedRank = mergedA.length / inFeatures
    const published = new Float64Array(outFeatures * inFeatures)
    // Published with alpha equal to the rank, which the test checks in adapter_config.json.
    addProduct(published, 1, mergedB, mergedA, mergedRank)
    let energy = 0
    let missing = 0
    let publishedEnergy = 0
    let inner = 0
    for (let i = 0; i < exact.length; i++) {
      const difference = exact[i] - published[i]
      energy += exact[i] ** 2
      missing += difference ** 2
      publishedEnergy += published[i] ** 2
      inner += difference * published[i]
    }
    const cosine = missing === 0 ? 0 : Math.abs(inner) / Math.sqrt(missing * publishedEnergy)
    return { name, energy, missing: missing / energy, cosine, rank: mergedRank }
  })
}
