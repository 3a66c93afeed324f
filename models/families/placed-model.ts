/** A model whose weights are on an engine: placed by the model or before it, and freed with it. */
import type { Engine } from '../backend/engine.ts'
import type { Tensor } from '../ops/ops.ts'
import { type Placer, type Placing, placeAll, type StoredSource } from './placing.ts'

export abstract class PlacedModel<Config, Weights extends { readonly all: readonly Tensor[] }> {
  readonly engine: Engine
  readonly config: Config
  readonly weights: Weights

  /**
   * @param weights where they come from, or weights of this configuration already on the engine
   * @throws FormatError as `placeAll`
   */
  constructor(
    engine: Engine,
    config: Config,
    weights: StoredSource | Weights,
    placing: (config: Config, placer: Placer) => Placing<Weights>,
  ) {
    this.engine = engine
    this.config = config
    this.weights =
      typeof weights === 'function' ? placeAll(engine, (placer) => placing(config, placer), weights) : weights
  }

  dispose(): void {
    for (const tensor of this.weights.all) this.engine.free(tensor)
  }
}
