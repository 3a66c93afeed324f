/** The Llama family as the rest of the project sees it: text in, text out. */
import type { EagerMemory, Family, ModelSpec, TokenizerFiles } from '../families/family.ts'
import type { GgufHeader } from '../formats/gguf-header.ts'
import { ggufTokenizer, ggufTokenizerFiles } from '../text/gguf-tokenizer.ts'
import { checkVocabulary, textModel } from '../text/text-model.ts'
import { createTokenizer, type Tokenizer } from '../text/tokenizer.ts'
import type { BatchShape } from '../training/model.ts'
import { DEFAULT_RECIPE } from '../training/recipe.ts'
import { type LlamaConfig, parseLlamaConfig } from './config.ts'
import { configJson } from './config-json.ts'
import { ggufAdapter, readGgufAdapter } from './gguf-adapter.ts'
import { readGgufConfig, readGgufOutline } from './gguf-model.ts'
import { LlamaModel } from './model.ts'
import { llamaModules } from './modules.ts'
import { ROPE_FACTORS_TENSOR } from './rope-scaling.ts'
import { placingLlama } from './weights.ts'

const ID = 'llama'

/** As many tokens a step as the recipe, in windows twice as long. */
const BATCH = DEFAULT_RECIPE.batch / 2
const WINDOW = 256

/** Held-out loss is measured this many times a run. */
const EVALUATIONS = 6

export const llamaFamily: Family = {
  id: ID,
  // Whatever is no other family's: the configuration's own check says what it lacks.
  reads: () => true,
  fromConfig: (config) => llamaSpec(parseLlamaConfig(config), null),
  fromGguf(header) {
    const config = readGgufConfig(header)
    return { spec: llamaSpec(config, header), tensors: () => readGgufOutline(header).tensors }
  },
}

function llamaSpec(config: LlamaConfig, gguf: GgufHeader | null): ModelSpec {
  const modules = llamaModules(config)
  const tokens = { usual: Math.min(WINDOW, config.maxPositions), most: config.maxPositions, chosen: true }
  const spec: ModelSpec = {
    family: ID,
    medium: 'text',
    modules,
    targets: modules,
    tokens,
    recipe({ steps = DEFAULT_RECIPE.steps, batch = BATCH, tokens: length = tokens.usual, learningRate }) {
      return {
        ...DEFAULT_RECIPE,
        steps,
        batch,
        tokens: length,
        learningRate: learningRate ?? DEFAULT_RECIPE.learningRate,
        evaluateEvery: Math.max(1, Math.round(steps / EVALUATIONS)),
      }
    },
    eagerMemory: (work) => eagerMemory(config, work),
    *placing(placer) {
      const weights = yield* placingLlama(config, placer)
      return (engine) => new LlamaModel(engine, config, weights)
    },
    opening(files) {
      const tokenizer = tokenizerOf(config, files, gguf)
      return (model) => {
        if (!(model instanceof LlamaModel)) throw new TypeError('a model of another family')
        return textModel(spec, model, tokenizer, config.eosIds)
      }
    },
    gguf: {
      readAdapter: (source) => readGgufAdapter(source, config),
      writeAdapter: (adapter, name) => ggufAdapter(adapter, config, name),
      ownTensors: new Set([ROPE_FACTORS_TENSOR]),
      async folderFiles(metadata, valuesOf) {
        const files = ggufTokenizerFiles(metadata)
        return new Map<string, Record<string, unknown>>([
          ['config.json', configJson(config, await valuesOf(ROPE_FACTORS_TENSOR))],
          ['tokenizer.json', files.tokenizer as Record<string, unknown>],
          // For Python's AutoTokenizer, which asks for a class by name.
          ['tokenizer_config.json', { ...files.config, tokenizer_class: 'PreTrainedTokenizerFast' }],
        ])
      },
    },
  }
  return spec
}

/** @throws FormatError `tokenizer/…`, `model/vocabulary` */
function tokenizerOf(config: LlamaConfig, files: TokenizerFiles | null, gguf: GgufHeader | null): Tokenizer {
  if (!files && !gguf) throw new RangeError('a folder has a tokenizer')
  const tokenizer = files
    ? createTokenizer(files.tokenizer, files.config, config)
    : ggufTokenizer(gguf!.metadata)
  checkVocabulary(tokenizer, config.vocabularySize)
  return tokenizer
}

/** Logits are made a band of rows at a time: models/ops/linear-cross-entropy/eager.ts. */
const LOGIT_BYTES = 4 * 2 ** 20

/** All of attention's [tokens, tokens], each block's input, and one block's tensors forward and backward. */
function eagerMemory(
  config: LlamaConfig,
  { batch, tokens, trained }: BatchShape & { trained: boolean },
): EagerMemory {
  const { hiddenSize: hidden, intermediateSize: intermediate, heads, kvHeads, headDim, layers } = config
  const rows = batch * tokens
  const scores = 4 * batch * heads * tokens * tokens
  const block = 4 * rows * (6 * hidden + 3 * (heads + 2 * kvHeads) * headDim + 6 * intermediate) + 4 * scores
  const logits = 3 * Math.min(LOGIT_BYTES, 4 * rows * config.vocabularySize)
  // The table of a tied head is looked up too, so its own numbers stay beside its packings.
  const table = config.tiedEmbeddings && trained ? 4 * config.vocabularySize * hidden : 0
  return {
    constantBytes: 4 * config.maxPositions * headDim,
    stepBytes: 4 * rows * hidden * (trained ? layers + 2 : 2) + block + logits + table,
    largestBytes: Math.max(scores, 4 * rows * intermediate),
  }
}
