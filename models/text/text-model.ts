/** A model of text with its tokenizer, as the rest of the project sees it, whatever its family. */
import { FormatError } from '../errors.ts'
import type { ModelSpec, TextModel } from '../families/family.ts'
import { splitHeldOut } from '../training/holdout.ts'
import type { Model } from '../training/model.ts'
import { type GeneratingModel, generate } from './generate.ts'
import type { Tokenizer } from './tokenizer.ts'

/** @throws FormatError `model/vocabulary` where the tokenizer knows tokens that the model does not */
export function checkVocabulary(tokenizer: Tokenizer, vocabularySize: number): void {
  if (tokenizer.vocabularySize <= vocabularySize) return
  throw new FormatError(
    'model/vocabulary',
    `The tokenizer has ${tokenizer.vocabularySize} tokens, the model ${vocabularySize}; the two are not of one model.`,
  )
}

/** @param eosIds tokens that end a text by the model's configuration, besides the tokenizer's own */
export function textModel(
  spec: ModelSpec,
  model: Model & GeneratingModel,
  tokenizer: Tokenizer,
  eosIds: readonly number[],
): TextModel {
  return {
    medium: 'text',
    spec,
    model,
    tokenizer,
    vocabularyDigest: tokenizer.vocabularyDigest,
    endIds: [...new Set([tokenizer.eosId, ...eosIds])],
    split: (examples) => splitHeldOut(examples),
    generate: (options) => generate({ model, tokenizer, ...options }),
    dispose: () => model.dispose(),
  }
}
