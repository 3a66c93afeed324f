/**
 * Where the model draws: the newest version beside the base model, the same captions from the same noise, for the console and for
 * the wall. Drawn in this window's own worker, once a version.
 */
import { effect, signal } from '@preact/signals'
import { downloadVersion } from '../../../relay/client/download.ts'
import type { Manifest } from '../../../relay/protocol/manifest.ts'
import type { Version } from '../../../relay/protocol/messages.ts'
import { console as text } from '../../strings/host.ts'
import { DEFAULT_CAPTIONS } from '../../strings/pictures.ts'
import type { Which } from '../../worker/api.ts'
import { PageError } from '../problems.ts'
import { callback, inWorker } from '../worker-client.ts'
import { hostManifest, newestVersion, roomDraws } from './host-store.ts'
import { inTurn, prepareFor } from './worker-queue.ts'

const STEPS = 20
const GUIDANCE = 2
const SEED = '1'

export interface MergedPictures {
  readonly version: number
  readonly side: number
  readonly captions: readonly string[]
  readonly base: readonly Uint8Array[]
  readonly merged: readonly Uint8Array[]
}
export const mergedPictures = signal<MergedPictures | null>(null)

/** What has been drawn, or will be: the room is seen anew every second. */
let asked = ''

effect(() => {
  const room = hostManifest.value
  const version = newestVersion.value
  if (!room || !version) {
    mergedPictures.value = null
    asked = ''
    return
  }
  if (!roomDraws.value || asked === version.digest) return
  asked = version.digest
  void inTurn(() => draw(room, version))
})

async function draw(room: Manifest, version: Version): Promise<void> {
  // A newer one came while this waited for its turn.
  if (asked !== version.digest) return
  await prepareFor(room)
  const folder = await downloadVersion(location.origin, room.room, version)
  const config = folder.get('adapter_config.json')
  const weights = folder.get('adapter_model.safetensors')
  if (!config || !weights) throw new PageError('network/download', text.versionMissing)
  await inWorker((api) => api.setMerged(config, weights))
  const base = mergedPictures.peek() ?? (await drawBy('base'))
  const merged = await drawBy('merged')
  if (asked !== version.digest) return
  mergedPictures.value = {
    version: version.version,
    side: merged.side,
    captions: DEFAULT_CAPTIONS,
    base: 'base' in base ? base.base : base.pictures,
    merged: merged.pictures,
  }
}

const drawBy = (which: Which) =>
  inWorker((api) =>
    api.draw(
      { which, captions: DEFAULT_CAPTIONS, seed: SEED, steps: STEPS, guidance: GUIDANCE },
      callback(() => {}),
    ),
  )
