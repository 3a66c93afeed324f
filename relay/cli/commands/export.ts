/** `export`: an adapter, or the base with it merged in, in the formats that other programs read. */
import path from 'node:path'
import { type MergedType, mergedModel } from '../../../models/catalog/merged-model.ts'
import { checkAdapterFits } from '../../../models/training/engine-adapter.ts'
import { checkBase, OTHER_BASE_OPTION } from '../adapter-origin.ts'
import type { Arguments } from '../args.ts'
import { type BaseModel, findBaseModel, MODEL_OPTION, readSpec, withSources } from '../base-model.ts'
import type { Command } from '../command.ts'
import type { Console } from '../console.ts'
import { UsageError } from '../errors.ts'
import { NO_ADAPTER, noGguf, readAdapter, writeAdapterFolder, writeChunks } from '../files.ts'
import { bytes } from '../format.ts'

const FORMATS = ['peft', 'gguf', 'merged'] as const
const TYPES: readonly MergedType[] = ['f32', 'f16', 'bf16']
const DEFAULT_TYPE: MergedType = 'f16'

export const command: Command = {
  usage: '--adapter DIR|FILE --format peft|gguf|merged --out PATH [--model M] [--type f16|bf16|f32]',
  about:
    "Writes an adapter for other programs: a PEFT folder, a GGUF file that llama.cpp takes with --lora, or the\nwhole model with the adapter merged in, as a folder in Hugging Face's layout. Without --adapter, merged\nwrites the model alone.",
  options: {
    model: MODEL_OPTION,
    adapter: { type: 'string', value: 'DIR', help: 'adapter to write: PEFT folder, or .gguf file' },
    format: { type: 'string', value: 'NAME', help: FORMATS.join(', ') },
    out: { type: 'string', value: 'PATH', help: 'folder to write, with gguf the file' },
    type: {
      type: 'string',
      value: 'NAME',
      help: `numbers of the merged model: ${TYPES.join(', ')}; default ${DEFAULT_TYPE}`,
    },
    ...OTHER_BASE_OPTION,
  },
  async run(args, console, signal) {
    args.noPositionals()
    const { format, out, type, adapterName } = wanted(args)
    const base = await findBaseModel(args.text('model'), { console, signal })
    const { adapter, origin } = adapterName === undefined ? NO_ADAPTER : await readAdapter(adapterName, base)
    await checkBase(origin, base, args)
    const spec = await readSpec(base)
    if (adapter) checkAdapterFits(spec, adapter)
    if (format === 'gguf' && !spec.gguf) throw noGguf(base)
    if (format === 'merged') {
      const files = await writeMerged(base, adapter, type, out, console)
      const written = files.reduce((sum, file) => sum + file.bytes, 0)
      console.result({ out, format, type, files, bytes: written })
      console.print(`${out}: ${base.id} with the adapter merged in, ${type}, ${bytes(written)}\n`)
      return
    }
    // Only `merged` goes without one: `wanted` saw to it.
    const written =
      format === 'peft'
        ? await writeAdapterFolder(out, adapter!, base.id, origin)
        : await writeChunks(out, spec.gguf!.writeAdapter(adapter!, path.basename(out, '.gguf')))
    console.result({ out, format, modules: adapter!.modules.size, bytes: written })
    console.print(`${out}: adapter as ${format}, ${adapter!.modules.size} modules, ${bytes(written)}\n`)
  },
}

function wanted(args: Arguments) {
  const format = args.choice('format', FORMATS)
  if (!format) throw new UsageError(`--format is missing: ${FORMATS.join(', ')}.`)
  const out = args.needed('out', 'name what to write')
  const adapterName = args.text('adapter')
  if (adapterName === undefined && format !== 'merged')
    throw new UsageError('--adapter is missing: name a PEFT folder or a .gguf file.')
  if (args.has('type') && format !== 'merged') throw new UsageError('--type belongs to --format merged.')
  return { format, out, adapterName, type: args.choice('type', TYPES) ?? DEFAULT_TYPE }
}

async function writeMerged(
  base: BaseModel,
  adapter: Parameters<typeof mergedModel>[1],
  type: MergedType,
  out: string,
  console: Console,
): Promise<{ name: string; bytes: number }[]> {
  return withSources(base, async (sources) => {
    const files = await mergedModel(sources, adapter, type)
    const total = files.reduce((sum, file) => sum + file.bytes, 0)
    const progress = console.progress(`Writing ${out}`, total, 'bytes')
    let done = 0
    try {
      for (const file of files) {
        await writeChunks(path.join(out, file.name), file.chunks, (bytes) => progress.update(done + bytes))
        done += file.bytes
      }
      progress.finish()
    } catch (error) {
      progress.abort()
      throw error
    }
    return files.map(({ name, bytes }) => ({ name, bytes }))
  })
}
