/**
 * Captions to ids: the tokenizer.json normalises (accents dropped, lower case, whatever is no letter or digit one
 * space) and pairs bytes; here the beginning-of-text token comes first, the rest is cut or filled up to the length
 * the model takes. The empty caption is the unconditional one.
 */
import { FormatError } from '../errors.ts'
import { openBytePairs } from '../formats/tokenizer-json.ts'
import type { DiffusionConfig } from './config.ts'

export interface CaptionTokenizer {
  readonly vocabularyDigest: string
  /** [captionTokens] */
  encode(caption: string): Int32Array
  /** How many of the caption's tokens are beyond what the model takes. */
  beyond(caption: string): number
}

/** No more of a caption is looked at: a dozen tokens are all that count. */
const MAX_CHARACTERS = 2_000

/** @throws FormatError `tokenizer/malformed`, `tokenizer/unsupported`, `model/vocabulary` */
export function captionTokenizer(tokenizerJson: unknown, config: DiffusionConfig): CaptionTokenizer {
  const pairs = openBytePairs(tokenizerJson, {})
  if (pairs.vocabularySize > config.vocabularySize) {
    throw new FormatError(
      'model/vocabulary',
      `The tokenizer has ${pairs.vocabularySize} tokens, the model ${config.vocabularySize}; the two are not of one model.`,
    )
  }
  const tokens = (caption: string) => pairs.encode(caption.slice(0, MAX_CHARACTERS))
  const room = config.captionTokens - 1
  return {
    vocabularyDigest: pairs.vocabularyDigest,
    encode(caption) {
      const ids = new Int32Array(config.captionTokens).fill(config.padId)
      ids[0] = config.bosId
      ids.set(tokens(caption).slice(0, room), 1)
      return ids
    },
    beyond: (caption) => Math.max(0, tokens(caption).length - room),
  }
}
