/** The room that `host` opens: a new one as its options want it, or the one of this name from an earlier start. */
import { randomBytes } from 'node:crypto'
import { isStepped, type Manifest, manifestDigest, parseManifest, quorumOf } from '../protocol/index.ts'
import type { Relay } from '../server/server.ts'
import type { Arguments } from './args.ts'
import { type BaseModel, type describeModel, readSpec } from './base-model.ts'
import type { Console } from './console.ts'
import { CliError } from './errors.ts'
import { type HostPlan, STRATEGY_NAMES } from './host-options.ts'
import { MODE_OPTIONS, modeOf, strategyForRounds } from './mode-option.ts'
import { ownManifest } from './own-manifest.ts'
import { PRIVATE_OPTIONS, privacyOf, privateForm } from './private-option.ts'
import { roomManifest } from './room-manifest.ts'
import type { StartFile } from './start-file.ts'
import { roomStrategyOf, strategyOptions } from './strategy-option.ts'
import { adapterOptions, recipeOf, TRAINING_OPTION_NAMES } from './training-options.ts'

const DEFAULT_TITLE = 'Fine-tuning together'

export async function wantedManifest(
  args: Arguments,
  plan: HostPlan,
  model: BaseModel,
  described: Awaited<ReturnType<typeof describeModel>>,
  start: StartFile | null,
): Promise<Manifest> {
  const adapter = roomAdapter(args)
  const mode = modeOf(args)
  const strategy = roomStrategyOf(args, STRATEGY_NAMES, adapter.form)
  const spec = await readSpec(model)
  return roomManifest({
    room: plan.room,
    title: args.text('title') ?? DEFAULT_TITLE,
    model,
    described,
    family: spec.family,
    modules: spec.targets,
    ...adapter,
    start,
    seed: randomBytes(16).toString('hex'),
    recipe: recipeOf(args, spec),
    strategy: mode ? strategyForRounds(strategy, adapter.rank) : strategy,
    publishEvery: mode && isStepped(mode) ? quorumOf(mode) : plan.publishEvery,
    mode,
    privacy: privacyOf(args),
  })
}

/** A private room has forms of its own. */
export function roomAdapter(args: Arguments) {
  const adapter = adapterOptions(args)
  return privacyOf(args) ? { ...adapter, form: privateForm(args, adapter.form) } : adapter
}

/** Options that become part of a manifest; an existing room's cannot be changed by them. */
const MANIFEST_OPTIONS = [
  ...TRAINING_OPTION_NAMES,
  ...Object.keys(strategyOptions(STRATEGY_NAMES)),
  'publish-every',
  'approve',
  'gate',
  ...Object.keys(PRIVATE_OPTIONS),
  ...Object.keys(MODE_OPTIONS),
  'title',
  'model',
]

/** Without --room: the usual name, or the first after it that no deleted room had. */
function nameOf(relay: Relay, args: Arguments, { room }: HostPlan): string {
  if (args.has('room')) return room
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? room : `${room}-${number}`
    if (!relay.wasDeleted(name)) return name
  }
}

/** A new room, or the one of this name from an earlier start, as it was. */
export async function openRoom(
  relay: Relay,
  asked: Manifest,
  args: Arguments,
  plan: HostPlan,
  console: Console,
): Promise<Manifest> {
  const wanted = { ...asked, room: nameOf(relay, args, plan) }
  if (!relay.rooms().includes(wanted.room)) {
    await relay.createRoom(wanted)
    return wanted
  }
  const existing = await ownManifest(relay.url, wanted.room)
  // The seed is drawn anew each time and the title may stay; everything else must be what was asked for.
  const same = parseManifest({
    ...wanted,
    title: args.has('title') ? wanted.title : existing.title,
    adapter: { ...wanted.adapter, seed: existing.adapter.seed },
  })
  if (manifestDigest(same) !== manifestDigest(existing)) {
    if (existing.base.digest !== wanted.base.digest || MANIFEST_OPTIONS.some((name) => args.has(name))) {
      throw new CliError(
        'room/exists',
        `The room ${wanted.room} in ${plan.dataDir} was made with another model or other options, and those cannot change: choose another --room or another --data-dir.`,
      )
    }
    console.note(`oneround: the room ${wanted.room} keeps the settings it was made with.`)
  }
  return existing
}
