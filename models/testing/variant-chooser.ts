/** A tuner for tests: takes the first of the variants that are asked for wherever a dispatch has it, and counts how often. */
import { type KernelChooser, variantName } from '../plan/tuner.ts'

export class VariantChooser implements KernelChooser {
  #wanted: readonly string[] = []
  #taken = 0

  /** Dispatches that had a wanted variant since it was asked for. */
  get taken(): number {
    return this.#taken
  }

  want(...variants: string[]): void {
    this.#wanted = variants
    this.#taken = 0
  }

  async resolve(dispatches: Parameters<KernelChooser['resolve']>[0]): ReturnType<KernelChooser['resolve']> {
    return dispatches.map((dispatch) => {
      const all = [dispatch, ...(dispatch.tuning?.others ?? []).map((make) => make())]
      const found = this.#wanted.flatMap(
        (wanted) => all.find((variant) => variantName(variant) === wanted) ?? [],
      )[0]
      if (found) this.#taken++
      return found ?? dispatch
    })
  }
}
