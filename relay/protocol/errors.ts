/**
 * The one list of what can go wrong between a client and a relay. On the wire an error is its code; the sentence
 * for the person is looked up by whoever shows it, so wording can improve without a protocol change. A code, once
 * published, keeps its meaning.
 */

const SENTENCES = {
  'protocol/version':
    'This page and the relay speak different protocol versions; reload the page, or update the program.',
  'protocol/malformed': 'The relay got a message it cannot read; reload the page, or update the program.',
  'protocol/unknown-event':
    'The relay got a message it does not know; reload the page, or update the program.',
  'protocol/not-joined': 'This connection has not joined a room yet; join first, then send.',
  'protocol/already-joined':
    'This connection has already joined a room; open another connection for another room.',
  'protocol/busy':
    'Messages arrive faster than the relay answers; wait for each answer before sending the next.',
  'protocol/timeout': 'No answer came in time; check the connection and try again.',

  'room/unknown': 'There is no such room on this relay; check the link, or ask the host for a new one.',
  'room/closed':
    'The host has closed this room, so nothing more is accepted; the merged result can still be downloaded.',
  'room/deleted':
    'The host has deleted this room and all that was in it; nothing of it can be sent or downloaded any more.',
  'room/full': 'This room has all the contributions it can take; the merged result can still be downloaded.',
  'room/exists': 'A room with this name already exists with another manifest; choose another name.',
  'room/limit': 'This relay has as many rooms as it can hold; start another relay with its own data folder.',
  'room/unknown-base':
    'This relay does not serve the base model that the manifest names; add it with --model.',

  'room/joining-closed':
    'The host lets nobody new into this room any more; ask the host, or watch the result.',
  'room/expired':
    'The time of this room is over, so nothing more is accepted; the merged result can still be downloaded.',

  'join/code': 'This room has a join code, and this is not it; ask the host for the code or the whole link.',
  'join/token': 'The relay does not recognise this participant; join again as a new one.',
  'join/replaced': 'This participant has connected again elsewhere; continue there, or reload this page.',
  'join/timeout': 'The connection was open without joining a room for too long; reload the page.',
  'join/too-many': 'The relay has as many connections as it can hold; try again in a few minutes.',
  'join/origin': 'A page from another site tried to connect; open the page from the relay itself.',

  'manifest/malformed':
    'The manifest is not what this version understands; check it against docs/protocol.md.',
  'manifest/digest':
    'The manifest does not have the digest it came with; reload, and tell the host if it stays so.',

  'upload/not-begun': 'Bytes came without an upload having begun; begin the upload again.',
  'upload/too-large':
    'The update is larger than this room allows; train with the rank and encoding of the manifest.',
  'upload/chunk':
    'A chunk is empty or larger than this room allows; send chunks of at most limits.chunkBytes.',
  'upload/offset': 'A chunk does not continue where the relay stands; continue at the offset it answered.',
  'upload/incomplete': 'The update is not complete yet; send the missing bytes, then commit again.',
  'upload/digest': 'The bytes that arrived do not have the announced digest; begin the upload again.',
  'upload/second': 'This participant has already sent a different update; only one counts in a round.',
  'upload/too-many': 'Too many uploads are unfinished at this moment; try again in a minute.',

  'update/malformed':
    'The update is not a well-formed safetensors file of this format; train and pack it again.',
  'update/format-version': 'The update has another format version; update the program that made it.',
  'update/wrong-manifest':
    "The update was made for another room or another manifest; train it with this room's.",
  'update/unknown-tensor':
    'The update holds a tensor that this room does not train; use the adapter of the manifest.',
  'update/missing-tensor':
    'The update lacks a tensor that this room trains; use the adapter of the manifest.',
  'update/wrong-shape':
    'A tensor of the update has the wrong shape; use the rank and layers of the manifest.',
  'update/wrong-dtype': 'A tensor of the update has the wrong number type; use the encoding of the manifest.',
  'update/not-finite':
    'The update holds NaN or infinity: training diverged; train again with a lower learning rate.',
  'update/examples':
    'The example count must be a whole number from 1 to 1,000 and the same in file and message.',
  'update/norm':
    'The update changes the model more than this room allows; train again with a lower learning rate.',
  'update/range':
    'A value of the update is beyond 8, so sums would not be exact; train with a lower learning rate.',
  'update/late':
    'The round that this update was trained for is over, and this room takes no late ones; train from the newest version.',
  'update/unknown-start':
    'The update continues from a version that this room does not have; train from the start that its status names.',

  'receipt/signature': 'The receipt is not signed by this relay; do not rely on it, and tell the host.',
  'withdraw/unknown':
    'There is no contribution of this participant to withdraw; it was withdrawn before, or never accepted.',
  'withdraw/too-late':
    'This contribution is in a publication that cannot be made again, so it cannot be taken out any more.',

  'version/retired':
    'This version held a contribution that has been withdrawn, so the relay has erased it; take a newer one.',

  'host/unknown-contribution': 'No contribution of this room has this digest; reload the list.',
  'host/not-waiting': 'This contribution does not wait for a decision; reload the list.',
  'host/at-close': 'A private room publishes once, when it closes; close it to publish what has come in.',
  'host/no-candidate': 'No version of this digest waits to be published; reload the list.',
  'host/start-failed':
    'The fixed factors for LoRA-SB could not be made; the host finds the reason in the log and can take another rank.',
  'host/token': 'Only the host may do this: send the token that the relay printed when it started.',
  'request/not-found': 'There is nothing at this address; check the link.',
  'request/method': 'This address does not take that kind of request; see docs/protocol.md.',
  'request/expectation':
    'The request expects what this relay does not do; send it without its Expect header.',
  'request/malformed': 'The request is not what this address takes; see docs/protocol.md.',
  'request/too-large': 'The request is larger than this address takes.',
  'request/too-often':
    'Too many attempts came from this address within a minute; wait a minute, then try again.',
  'request/range': 'The requested range lies outside the file.',
  'request/page-missing': 'The page has not been built; run npm start, which builds it.',

  'store/locked': 'Another relay is using this data folder; stop it, or choose another with --data-dir.',
  'store/full': 'The relay cannot write any more to its disk; the host must make room, then try again.',
  'store/unwritable':
    'The relay cannot write into its data folder; give it the right to, or choose another with --data-dir.',
  'store/damaged':
    'A stored file does not have the digest it was accepted with; restore the data folder from a copy.',
  'store/log-damaged': 'The audit log does not follow from itself; restore the data folder from a copy.',
  'store/version-differs':
    'A published version no longer follows from the stored updates; restore the data folder from a copy.',
  'store/newer': 'The data folder was written by a newer version of this program; update this one.',
  'relay/merge-failed':
    'The updates are safe, but merging them failed; the host finds the reason in the log and can restart the relay.',
  'relay/address': 'The relay cannot listen on this address; choose another with --port.',
  'relay/stopping': 'The relay is shutting down; try again when it is back.',
  'relay/internal': 'The relay failed on its side; tell the host to look at its log, then try again.',

  'network/unreachable': 'The relay does not answer; check the network and the link, then try again.',
  'network/download': 'The download did not arrive as announced; try again.',
  'client/stale': 'The round has moved on since this step was offered; use the current state.',
  'client/aborted': 'Stopped before it was sent; nothing was counted.',
} as const satisfies Record<string, string>

export type ErrorCode = keyof typeof SENTENCES

export const ERROR_CODES = Object.freeze(Object.keys(SENTENCES) as ErrorCode[])

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(SENTENCES, value)
}

/** One sentence for the person: what happened and the next step. */
export function sentenceFor(code: ErrorCode): string {
  return SENTENCES[code]
}

/** Anything that goes wrong between client and relay. `message` is the code's sentence unless given one. */
export class ProtocolError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string = sentenceFor(code), options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProtocolError'
    this.code = code
  }
}
