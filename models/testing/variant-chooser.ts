/** A tuner for tests: takes the variant that is asked for wherever a dispatch has it, and counts how often. */
import { type KernelChooser, variantName } from '../plan/tuner.ts'

export class VariantChooser implements KernelChooser {
  #wanted = ''
  #taken = 0

  /** Dispatches that had the wanted variant since it was asked for. */
  get taken(): number {
    return this.#taken
  }

  want(variant: string): void {
    this.#wanted = variant
    this.#taken = 0
  }

  async resolve(dispatches: Parameters<KernelChooser['resolve']>[0]): ReturnType<KernelChooser['resolve']> {
    return dispatches.map((dispatch) => {
      const all = [dispatch, ...(dispatch.tuning?.others ?? []).map((make) => make())]
      const found = all.find((variant) => variantName(variant) === this.#wanted)
      if (found) this.#taken++
      return found ?? dispatch
    })
  }
}
