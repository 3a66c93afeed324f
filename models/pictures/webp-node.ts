/** Where Node finds the WebP decoder: in its package. In a tab the page's build gives an address instead. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

let module: Promise<WebAssembly.Module> | null = null

export function nodeWebpModule(): Promise<WebAssembly.Module> {
  module ??= readFile(createRequire(import.meta.url).resolve('@jsquash/webp/codec/dec/webp_dec.wasm')).then(
    (bytes) => WebAssembly.compile(new Uint8Array(bytes)),
  )
  return module
}
