/**
 * The reference adapters of models/fixtures/aggregation as PEFT folders, which `merge` and `peft` read: `client0` to
 * `client4`, and `frozen0` to `frozen4`, the same with the first one's A, as ffa and lora-sb need.
 */
import path from 'node:path'
import type { Adapter } from '../../../models/adapters/adapter.ts'
import { delta, furthest, referenceCase } from '../../aggregation/testing/reference.ts'
import { readAdapterFolder, writeAdapterFolder } from '../files.ts'

/** PEFT's wrapper around the fixtures' bare names. */
const PREFIX = 'base_model.model.'

export interface FixtureFolders {
  readonly clients: string[]
  readonly frozen: string[]
  /** Example counts, for --weights. */
  readonly counts: readonly number[]
}

/** `name`: `independent`, `shared` or `mixed`. */
export async function writeFixtureFolders(folder: string, name: string): Promise<FixtureFolders> {
  const { adapters, counts } = referenceCase(name)
  const first = adapters[0]!.modules
  const written = { clients: [] as string[], frozen: [] as string[], counts }
  const renamed = (adapter: Adapter, isFrozen: boolean): Adapter => ({
    modules: new Map(
      [...adapter.modules.values()].map((factors) => {
        const module = `${PREFIX}${factors.name}`
        const a = isFrozen ? first.get(factors.name)!.a : factors.a
        return [module, { ...factors, name: module, a }] as const
      }),
    ),
  })
  // Mixed ranks share no A.
  const canFreeze = adapters.every((adapter) =>
    [...adapter.modules.values()].every((factors) => factors.rank === first.get(factors.name)!.rank),
  )
  for (const [k, adapter] of adapters.entries()) {
    const client = path.join(folder, `client${k}`)
    await writeAdapterFolder(client, renamed(adapter, false), 'base')
    written.clients.push(client)
    if (!canFreeze) continue
    const frozen = path.join(folder, `frozen${k}`)
    await writeAdapterFolder(frozen, renamed(adapter, true), 'base')
    written.frozen.push(frozen)
  }
  return written
}

/** Whether the reference has a result of this rule. */
export const hasFixture = (name: string, rule: string): boolean =>
  [...referenceCase(name).results.keys()].some((key) => key.startsWith(`${rule}.`))

/** The largest difference of a merged folder's deltas to the reference's result for this rule. */
export async function distanceToFixture(folder: string, name: string, rule: string): Promise<number> {
  const { results } = referenceCase(name)
  let worst = 0
  for (const factors of (await readAdapterFolder(folder)).modules.values()) {
    const expected = results.get(`${rule}.${factors.name.replace(PREFIX, '')}`)
    if (!expected) throw new RangeError(`the reference has no ${rule} of ${factors.name}`)
    worst = Math.max(worst, furthest(delta(factors), expected.values))
  }
  return worst
}
