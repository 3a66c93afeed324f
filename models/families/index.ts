/** Every family of models. Adding one is a folder under `models/` and a line here. */
import { diffusionFamily } from '../diffusion/family.ts'
import { FormatError } from '../errors.ts'
import type { GgufHeader } from '../formats/gguf-header.ts'
import { llamaFamily } from '../llama/family.ts'
import type { Family, ModelSpec } from './family.ts'

/** The last that reads whatever no other does, and refuses by name what it cannot. */
const FAMILIES: readonly Family[] = [diffusionFamily, llamaFamily]

/** @throws FormatError `config/…` */
export function specOfConfig(config: unknown): ModelSpec {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new FormatError(
      'config/malformed',
      "config.json is not a JSON object; take the file from the model's own folder.",
    )
  }
  const family = FAMILIES.find((one) => one.reads(config as Record<string, unknown>))
  return (family ?? FAMILIES.at(-1)!).fromConfig(config)
}

/** GGUF is llama.cpp's format, and one family's so far. Throws FormatError as its `fromGguf`. */
export function specOfGguf(header: GgufHeader) {
  const family = FAMILIES.find(({ fromGguf }) => fromGguf !== undefined)
  return family!.fromGguf!(header)
}
