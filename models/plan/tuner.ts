/**
 * Which variant of a kernel is quickest on the device at hand, found by running each on the buffers it will work on.
 * No table made elsewhere knows the device: the machine that wrote the kernels is not the one that runs them.
 *
 * The choice is remembered by device and by the kernel's key, so that a step runs the same kernels, and repeats to the
 * bit, on every later day. Measuring stops when its time is up: what is left keeps the first variant for as long as this
 * tuner lives, and is measured another day.
 */
import { ModelsError } from '../errors.ts'
import type { Dispatch } from './recorder.ts'

/** Choices by kernel key: a variant's place. May fail without harm, what it held is then measured again. */
export interface TunerStore {
  read(device: string): Promise<unknown>
  write(device: string, choices: Readonly<Record<string, string>>): Promise<void>
}

/** Settles which variant of each dispatch a program runs. */
export interface KernelChooser {
  resolve(dispatches: readonly Dispatch[], run: Runner): Promise<Dispatch[]>
}

export interface TunerOptions {
  /** The device in words, and whatever else decides what is quick on it (a driver's version). */
  readonly device: string
  readonly store?: TunerStore
  /** For all measurements of this tuner together, compiling included. */
  readonly budgetMs?: number
  /** For tests. */
  readonly now?: () => number
}

/** Runs a dispatch `repeats` times in one submit, after compiling it; milliseconds until the device is done. */
export type Runner = (dispatch: Dispatch, repeats: number) => Promise<number>

/** A person waits for the first step this much longer, once. */
const BUDGET_MS = 4000
/** A measurement is repeated until it takes this long: short ones drown in what a submit costs. */
const MIN_MS = 2
const MAX_REPEATS = 64
const ROUNDS = 3
/** Another variant must be this much quicker than the first to take its place: noise changes no choice. */
const MARGIN = 0.95

/** Of the kernels' keys and variants; changed when kernels change so that old choices mean nothing. */
const VERSION = 5

export class Tuner implements KernelChooser {
  private readonly device: string
  private readonly store: TunerStore | undefined
  private readonly now: () => number
  private readonly chosen = new Map<string, string>()
  private readonly measured = new Map<string, string>()
  private leftMs: number
  private loaded: Promise<void> | null = null
  private turn: Promise<unknown> = Promise.resolve()

  constructor({ device, store, budgetMs = BUDGET_MS, now = () => performance.now() }: TunerOptions) {
    this.device = `${VERSION} ${device}`
    this.store = store
    this.leftMs = budgetMs
    this.now = now
  }

  /** What was measured, now or on an earlier day: variants by key. */
  get choices(): ReadonlyMap<string, string> {
    return this.measured
  }

  /** The same dispatches, each in its quickest variant. One program at a time. */
  resolve(dispatches: readonly Dispatch[], run: Runner): Promise<Dispatch[]> {
    const result = this.turn.then(() => this.resolveNow(dispatches, run))
    this.turn = result.catch(() => {})
    return result
  }

  private async resolveNow(dispatches: readonly Dispatch[], run: Runner): Promise<Dispatch[]> {
    this.loaded ??= this.load()
    await this.loaded
    const before = this.measured.size
    const resolved: Dispatch[] = []
    for (const dispatch of dispatches) resolved.push(await this.resolveOne(dispatch, run))
    if (this.measured.size > before)
      await this.store?.write(this.device, Object.fromEntries(this.measured)).catch(() => {})
    return resolved
  }

  private async resolveOne(dispatch: Dispatch, run: Runner): Promise<Dispatch> {
    const { tuning } = dispatch
    if (!tuning) return dispatch
    const known = this.chosen.get(tuning.key)
    if (known === undefined && this.leftMs > 0) return this.measure(dispatch, run)
    let kept = dispatch
    if (known !== undefined && variantName(dispatch) !== known) {
      // A choice that no variant bears the name of is of another version of the kernels.
      for (const make of tuning.others) {
        const other = make()
        if (variantName(other) === known) kept = other
      }
    }
    this.chosen.set(tuning.key, variantName(kept))
    return kept
  }

  private async measure(dispatch: Dispatch, run: Runner): Promise<Dispatch> {
    const { key, others } = dispatch.tuning!
    const started = this.now()
    const late = () => this.now() - started > this.leftMs
    const variants = [dispatch, ...others.map((make) => make())]
    const repeats = new Map<Dispatch, number>()
    for (const variant of variants) {
      if (repeats.size > 0 && late()) break
      const count = await repeatsOf(variant, run)
      if (count !== null) repeats.set(variant, count)
    }
    // In turns, so that a device whose clock is still rising treats all alike.
    const fastest = new Map<Dispatch, number>()
    for (let round = 0; round < ROUNDS && !late(); round++) {
      for (const [variant, count] of repeats) {
        const ms = (await run(variant, count)) / count
        fastest.set(variant, Math.min(ms, fastest.get(variant) ?? ms))
      }
    }
    const complete = !late()
    let best = dispatch
    for (const [variant, ms] of fastest) {
      const toBeat = fastest.get(best) ?? Number.POSITIVE_INFINITY
      if (variant !== best && ms < toBeat * (best === dispatch ? MARGIN : 1)) best = variant
    }
    this.leftMs -= this.now() - started
    this.chosen.set(key, variantName(best))
    if (complete) this.measured.set(key, variantName(best))
    return best
  }

  private async load(): Promise<void> {
    const found = await this.store?.read(this.device).catch(() => null)
    if (typeof found !== 'object' || found === null) return
    for (const [key, name] of Object.entries(found)) {
      if (typeof name !== 'string') continue
      this.chosen.set(key, name)
      this.measured.set(key, name)
    }
  }
}

/** 'linear.forward.tiled' is variant 'tiled'. */
export const variantName = ({ name }: Dispatch) => name.slice(name.lastIndexOf('.') + 1)

/** How often a variant is run for one measurement; null where the driver refuses it, and others take its place. */
async function repeatsOf(variant: Dispatch, run: Runner): Promise<number | null> {
  try {
    await run(variant, 1) // compiled here
    return Math.min(MAX_REPEATS, Math.max(1, Math.ceil(MIN_MS / Math.max(await run(variant, 1), 0.01))))
  } catch (error) {
    if (error instanceof ModelsError && error.code === 'device/shader') return null
    throw error
  }
}
