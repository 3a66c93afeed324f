/** A tensor that has not been read: where it lies in its file, and what its bytes become. */
export interface StoredTensor {
  /** safetensors' or ggml's name of the number type. */
  readonly type: string
  /** Rows first. */
  readonly shape: readonly number[]
  /** Where its bytes begin in the file. */
  readonly begin: number
  readonly bytes: number
  /** The bytes as read, still packed, with rows in the model's order; may be the same view. */
  pack(raw: Uint8Array): Uint8Array
  /** Every weight in the model's order, a copy. */
  decode(raw: Uint8Array): Float32Array
}
