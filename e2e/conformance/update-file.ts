/** The manifest and the update as docs/protocol.md has them, byte by byte, from nothing of this project's. */
import { createHash } from 'node:crypto'

export interface Manifest {
  readonly room: string
  readonly base: {
    readonly digest: string
    readonly files: readonly { name: string; bytes: number; sha256: string }[]
  }
  readonly adapter: {
    readonly form?: string
    readonly rank: number
    readonly modules: readonly { name: string; inFeatures: number; outFeatures: number }[]
  }
  readonly update: { readonly encoding: 'i8' | 'f16' | 'f32' }
  readonly limits: { readonly updateBytes: number; readonly chunkBytes: number; readonly examples: number }
}

export const sha256 = (data: Uint8Array | string) => createHash('sha256').update(data).digest('hex')

/** RFC 8785 for what a manifest holds. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
}

interface UpdateOptions {
  readonly manifestDigest: string
  readonly examples?: number
  /** The first entry of the first B; makes updates differ. */
  readonly firstValue?: number
  /** Merged digest of the version it continues. */
  readonly start?: string | undefined
}

/** An update as the document has it, byte by byte; all entries zero but one. */
export function updateFile(
  manifest: Manifest,
  { manifestDigest, examples = 1, firstValue = 0, start }: UpdateOptions,
): Buffer {
  const { rank, modules, form = 'lora' } = manifest.adapter
  const { encoding } = manifest.update
  const tensors: { name: string; dtype: string; shape: number[]; data: Buffer }[] = []
  const matrices = modules.flatMap(({ name, inFeatures, outFeatures }) => [
    ...(form === 'lora' ? [{ name: `${name}.lora_A.weight`, shape: [rank, inFeatures], value: 0 }] : []),
    { name: `${name}.lora_B.weight`, shape: [outFeatures, rank], value: 0 },
  ])
  const target = matrices.find(({ name }) => name.endsWith('lora_B.weight'))
  if (target) target.value = firstValue
  const entriesOf = (shape: number[]) => shape[0]! * shape[1]!
  if (encoding === 'i8') {
    for (const { name, shape, value } of matrices) {
      const data = Buffer.alloc(4 * Math.ceil(entriesOf(shape) / 64))
      data.writeFloatLE(Math.abs(value) / 127, 0)
      tensors.push({ name: `${name}.scale`, dtype: 'F32', shape: [data.length / 4], data })
    }
  }
  for (const { name, shape, value } of matrices) {
    const width = { i8: 1, f16: 2, f32: 4 }[encoding]
    const data = Buffer.alloc(entriesOf(shape) * width)
    if (encoding === 'i8') data.writeInt8(value === 0 ? 0 : 127 * Math.sign(value), 0)
    // 0x2000 is 2^-7 in binary16.
    else if (encoding === 'f16')
      data.writeUInt16LE(value === 0 ? 0 : 0x2000 + (Math.round(value * 1e6) & 0x3ff), 0)
    else data.writeFloatLE(value, 0)
    tensors.push({ name, dtype: encoding.toUpperCase(), shape, data })
  }
  let offset = 0
  const header: Record<string, unknown> = {
    __metadata__: {
      format: 'oneround-update',
      version: '1',
      manifest: manifestDigest,
      ...(start === undefined ? {} : { start }),
      examples: String(examples),
    },
  }
  for (const { name, dtype, shape, data } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] }
    offset += data.length
  }
  const text = JSON.stringify(header)
  const json = Buffer.from(text.padEnd(Math.ceil(Buffer.byteLength(text) / 8) * 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, ...tensors.map(({ data }) => data)])
}
