/** Where training starts in a room whose rounds go on from its versions: the worker is given that version's start. */
import { isStepped } from '../../relay/protocol/manifest.ts'
import { inTurn, loadVersion } from './comparing.ts'
import { fetchStart, roundStart } from './relay.ts'
import { keepSession, keepStart, sessionKey } from './session.ts'
import { loadStart } from './storage.ts'
import { manifest, origin } from './store.ts'
import { inWorker } from './worker-client.ts'

/** Before training anew: has the worker start from where the open round starts. Throws ProtocolError, PageError. */
export async function takeStart(): Promise<void> {
  if (!isStepped(manifest.peek()?.mode)) return
  const { round, version } = await roundStart()
  const file = version && (await fetchStart(version))
  await inWorker((api) => api.setStart(file))
  if (file) keepStart(file)
  origin.value = { round, version }
  keepSession()
  if (version) await inTurn(() => loadVersion(version))
}

/** After a reload or a lost device: the start of what was trained before. */
export async function restoreStart(): Promise<void> {
  const version = origin.peek()?.version
  if (!version) return
  const file = (await loadStart(sessionKey()).catch(() => undefined)) ?? (await fetchStart(version))
  await inWorker((api) => api.setStart(file))
}
