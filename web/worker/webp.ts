/** The WebP decoder in a tab: a file of this page, fetched when the first webp picture comes. */
import address from '@jsquash/webp/codec/dec/webp_dec.wasm?url&no-inline'

let module: Promise<WebAssembly.Module> | null = null

export function webpModule(): Promise<WebAssembly.Module> {
  module ??= fetch(address)
    .then((response) => {
      if (!response.ok) throw new Error(`${address}: ${response.status}`)
      return response.arrayBuffer()
    })
    .then((bytes) => WebAssembly.compile(bytes))
  module.catch(() => {
    module = null
  })
  return module
}
