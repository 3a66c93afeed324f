/** SmolLM2-135M-Instruct from its GGUF file: as a source of bytes for the engine, unpacked for plain tfjs. */
import { type FileHandle, open } from 'node:fs/promises'
import { describeModelSources } from '../models/catalog/model-files.ts'
import type { TensorSource } from '../models/families/placing.ts'
import { type ByteSource, readExactly } from '../models/formats/byte-source.ts'
import { readGgufHeader } from '../models/formats/gguf.ts'
import type { LlamaConfig } from '../models/llama/config.ts'
import { readGgufConfig } from '../models/llama/gguf-model.ts'
import { fileSource } from '../relay/cli/base-model.ts'
import { fileError } from '../relay/cli/errors.ts'

export interface SmolLm2 {
  readonly path: string
  readonly source: ByteSource
  readonly config: LlamaConfig
  /** Every tensor as float32, as a plain program would hold them; 0.5 GB, made when first asked for. */
  unpacked(): Promise<TensorSource>
  close(): Promise<void>
}

export async function openSmolLm2(path: string): Promise<SmolLm2> {
  const handle: FileHandle = await open(path).catch((error: unknown) => {
    throw fileError('read', path, error)
  })
  const source = fileSource(handle, (await handle.stat()).size)
  const { tensors } = await describeModelSources(new Map([['model.gguf', source]]))
  const config = readGgufConfig(await readGgufHeader(source))
  return {
    path,
    source,
    config,
    async unpacked() {
      const values = new Map<string, { shape: readonly number[]; values: Float32Array }>()
      for (const [name, { tensor }] of tensors) {
        const raw = await readExactly(source, tensor.begin, tensor.bytes)
        values.set(name, { shape: tensor.shape, values: tensor.decode(raw) })
      }
      return (name) => values.get(name)
    },
    close: () => handle.close(),
  }
}
