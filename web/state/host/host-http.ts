/** What only the host may ask of the relay, with the token in a header. */
import * as v from 'valibot'
import {
  deletedRoomSchema,
  hostKeySchema,
  type Measured,
  type Offer,
  type OfferedModel,
  type Overview,
  offeredModelSchema,
  offerSchema,
  overviewSchema,
  type Preview,
  previewSchema,
} from '../../../relay/protocol/host.ts'
import {
  manifestDigest as digestOfManifest,
  type Manifest,
  parseManifest,
} from '../../../relay/protocol/manifest.ts'
import { problems } from '../../strings/problems.ts'
import { PageError } from '../problems.ts'
import { forgetToken, token, tokenRefused } from './token.ts'

const errorSchema = v.object({ error: v.object({ code: v.string(), message: v.string() }) })

/** Longer than any merge of a class; the relay goes on with what it was asked even so. */
const ANSWER_TIMEOUT_MS = 120_000
/** Every layer of a large model is decomposed. */
const MAKING_TIMEOUT_MS = 1_200_000

async function ask(path: string, init: RequestInit = {}, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Response> {
  const headers: Record<string, string> = {}
  if (token.peek() !== null) headers.Authorization = `Bearer ${token.peek()}`
  if (init.body !== undefined) headers['Content-Type'] = 'application/json'
  let response: Response
  try {
    response = await fetch(path, { ...init, headers, signal: AbortSignal.timeout(timeoutMs) })
  } catch (cause) {
    throw new PageError('network/unreachable', problems.relayUnreachable, { cause })
  }
  if (response.ok) return response
  const refusal = v.safeParse(errorSchema, await response.json().catch(() => null))
  if (!refusal.success) throw new PageError('network/unreachable', problems.relayUnreachable)
  const { code, message } = refusal.output.error
  // A token of an earlier relay: the console asks for the new one.
  if (code === 'host/token') {
    forgetToken()
    tokenRefused.value = true
  }
  throw new PageError(code, message)
}

/** An answer that is not as agreed comes from something between here and the relay, or from another version. */
async function read<S extends v.GenericSchema>(schema: S, response: Response): Promise<v.InferOutput<S>> {
  const parsed = v.safeParse(schema, await response.json().catch(() => null))
  if (!parsed.success) throw new PageError('network/unreachable', problems.relayUnreachable)
  return parsed.output
}

const roomEntry = v.object({
  room: v.string(),
  title: v.string(),
  manifestDigest: v.string(),
  connected: v.number(),
  contributions: v.number(),
  versions: v.number(),
  closed: v.boolean(),
})
export type RoomInList = v.InferOutput<typeof roomEntry>

const inRoom = (room: string, rest: string) => `/api/rooms/${encodeURIComponent(room)}/${rest}`
const post = (body?: unknown): RequestInit => ({
  method: 'POST',
  ...(body !== undefined && { body: JSON.stringify(body) }),
})

/** Also tells whether the token is right. */
export const fetchOffer = async (): Promise<Offer> => read(offerSchema, await ask('/api/host/offer'))

/** A new key in place of the one at hand, which is refused from then on. */
export const replaceHostKey = async (): Promise<string> =>
  (await read(hostKeySchema, await ask('/api/host/key', post()))).hostToken

/** Made where there is none yet, which takes its time: the model as it is offered then. */
export const makeStart = async (model: string, rank: number): Promise<OfferedModel> =>
  read(offeredModelSchema, await ask('/api/host/starts', post({ model, rank }), MAKING_TIMEOUT_MS))

export const fetchRoomList = async (): Promise<readonly RoomInList[]> =>
  (await read(v.object({ rooms: v.array(roomEntry) }), await ask('/api/rooms'))).rooms

export const fetchOverview = async (room: string): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, 'overview')))

/** With its digest. Throws ProtocolError `manifest/malformed`. */
export async function fetchHostManifest(room: string): Promise<{ manifest: Manifest; digest: string }> {
  const manifest = parseManifest(await (await ask(inRoom(room, 'manifest'))).json())
  return { manifest, digest: digestOfManifest(manifest) }
}

export const createRoom = async (manifest: Manifest): Promise<void> =>
  void (await ask('/api/rooms', post(manifest)))

export const deleteRoom = async (room: string): Promise<void> =>
  void (await read(
    deletedRoomSchema,
    await ask(`/api/rooms/${encodeURIComponent(room)}`, { method: 'DELETE' }),
  ))

export const publishNow = async (room: string): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, 'publish'), post()))

export const closeJoining = async (room: string): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, 'close-joining'), post()))

/** Answers the status; the overview follows by itself. */
export const closeRoom = async (room: string): Promise<void> =>
  void (await ask(inRoom(room, 'close'), post()))

export const setJoinCode = async (room: string, code: string | null): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, 'join-code'), post({ code })))

export const removeContribution = async (room: string, digest: string): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, `contributions/${digest}/remove`), post()))

export const approveContribution = async (room: string, digest: string): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, `contributions/${digest}/approve`), post()))

/** A file of the version that waits for the host's measurement. */
export const fetchCandidateFile = async (room: string, name: string): Promise<Uint8Array> =>
  new Uint8Array(await (await ask(inRoom(room, `candidate/${name}`))).arrayBuffer())

export const reportMeasured = async (room: string, digest: string, measured: Measured): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, `candidate/${digest}/measured`), post(measured)))

export const publishCandidate = async (room: string, digest: string): Promise<Overview> =>
  read(overviewSchema, await ask(inRoom(room, `candidate/${digest}/publish`), post()))

export const previewContribution = async (room: string, digest: string): Promise<Preview> =>
  read(previewSchema, await ask(inRoom(room, `contributions/${digest}/preview`)))

export const fetchAuditLog = async (room: string): Promise<string> =>
  (await ask(inRoom(room, 'audit'))).text()
