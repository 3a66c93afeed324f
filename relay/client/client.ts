/**
 * A participant of one round, for a tab and for Node: joins a room, walks through the states of states.ts, sends its
 * update once, and hears of published versions. Knows no DOM and no tensors; the caller trains in between.
 *
 *   const client = new RelayClient()
 *   const ready = await client.join(url, room)          // keep client.membership for a reload
 *   const training = client.startTraining(ready)
 *   const reviewing = client.review(training, bytes)
 *   const sent = await client.send(reviewing, { onProgress })
 *
 * Each step takes the state it starts from, so a step that is not allowed does not compile; a state that is no longer
 * the current one throws ProtocolError `client/stale`.
 */
import { type Digest, digestOf } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { manifestDigest } from '../protocol/manifest.ts'
import type { Accepted, Progress, Receipt, RoomStatus, Version } from '../protocol/messages.ts'
import { ClientEventListeners, type ClientEvents } from './client-events.ts'
import { Connection, type ResumeToken } from './connection.ts'
import { downloadVersion, type VersionFolder } from './download.ts'
import { KnownRoom, type RoundStart } from './known-room.ts'
import { checkSigned } from './signed.ts'
import {
  accepted,
  fail,
  failSending,
  joined,
  joining,
  leave,
  type Membership,
  type Paused,
  pause,
  progress,
  type Ready,
  type Reviewing,
  type RoundState,
  resume,
  review,
  roomDeleted,
  type Sending,
  type SendingFailed,
  type Sent,
  send,
  startAgain,
  startNextRound,
  startTraining,
  type Training,
  type Withdrawn,
  withdrawn,
} from './states.ts'
import { uploadUpdate } from './upload.ts'
import type { WireListener } from './wire-log.ts'

export interface RelayClientOptions {
  /** Sees every frame and download, in both directions. */
  readonly onWire?: WireListener
  /** How long one message may wait for its answer. */
  readonly requestTimeoutMs?: number
  /** How long the first join may take; later ones, after a drop, are tried for ever. */
  readonly joinTimeoutMs?: number
  /** How long to keep trying to send without any progress. */
  readonly giveUpAfterMs?: number
}

export interface SendOptions {
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void
  /** Stops sending; unless the update was accepted at that moment, nothing counts. */
  readonly signal?: AbortSignal
}

export class RelayClient {
  readonly #options: Required<Omit<RelayClientOptions, 'onWire'>> & Pick<RelayClientOptions, 'onWire'>
  readonly #events = new ClientEventListeners()
  readonly #room = new KnownRoom(this.#events)
  #state: RoundState = joining()
  #connection: Connection | undefined
  #url: string | undefined
  #membership: Membership | undefined

  constructor(options: RelayClientOptions = {}) {
    this.#options = {
      onWire: options.onWire,
      requestTimeoutMs: options.requestTimeoutMs ?? 20_000,
      joinTimeoutMs: options.joinTimeoutMs ?? 15_000,
      giveUpAfterMs: options.giveUpAfterMs ?? 120_000,
    }
  }

  get state(): RoundState {
    return this.#state
  }

  /** Known once joined; `participant` and `token` of it make a `resume`. */
  get membership(): Membership | undefined {
    return this.#membership
  }

  get status(): RoomStatus | undefined {
    return this.#room.status
  }

  /** Published versions heard of, oldest first. */
  get versions(): readonly Version[] {
    return this.#room.versions
  }

  /** Returns a function that ends the listening. */
  on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): () => void {
    return this.#events.on(event, listener)
  }

  /**
   * Joins a room, as a new participant or, with `resume`, as the one of an earlier join. `sent` if that one's update
   * is already in. `code` where the room has a join code. Throws ProtocolError, e.g. `room/unknown`, `room/closed`, `join/token`, `network/unreachable`.
   */
  async join(
    url: string,
    room: string,
    as?: ResumeToken | undefined,
    code?: string | undefined,
  ): Promise<Ready | Sent> {
    if (this.#connection) throw new ProtocolError('protocol/already-joined')
    this.#url = url
    this.#connection = new Connection({
      url,
      room,
      ...(as && { resume: as }),
      ...(code !== undefined && { code }),
      requestTimeoutMs: this.#options.requestTimeoutMs,
      onWire: this.#options.onWire,
      listener: {
        joined: (answer) => this.#joined(answer),
        online: (isOnline) => this.#events.tell('online', isOnline),
        status: (status) => this.#room.setStatus(status),
        published: (version) => this.#room.published(version),
        retired: (version) => this.#room.retired(version),
        withdrawn: (by) => this.#withdrawn(by),
        ended: (error) => this.#ended(error),
      },
    })
    try {
      await this.#connection.online(this.#options.joinTimeoutMs)
    } catch (error) {
      this.#connection.close()
      if (error instanceof ProtocolError) this.#ended(error)
      throw error
    }
    const state = this.#state
    if (state.phase !== 'ready' && state.phase !== 'sent') throw new ProtocolError('client/stale')
    return state
  }

  /**
   * Where training starts: null for the room's initial adapter, else the version whose `start.safetensors` it is. In a
   * room of rounds, waits until the round before is merged. Throws ProtocolError `room/closed` or `room/deleted`.
   */
  async roundStart(signal?: AbortSignal): Promise<RoundStart> {
    const { status } = this
    if (status && !status.round) return { round: 1, version: null }
    for (;;) {
      if (this.#state.phase === 'failed') throw this.#state.error
      const found = this.#room.openRound()
      if (found) return found
      if (this.#room.status?.closed) throw new ProtocolError('room/closed')
      await this.#events.heard(signal)
    }
  }

  /** Waits for a round after that of the receipt, to take part in it; null where none comes. Throws ProtocolError `room/deleted`. */
  async nextRound(from: Sent, signal?: AbortSignal): Promise<Ready | null> {
    const { round } = from.receipt
    if (round === undefined || from.membership.manifest.mode?.kind !== 'rounds') return null
    for (;;) {
      if (this.#state.phase === 'failed') throw this.#state.error
      if (this.#room.status?.closed) return null
      const open = this.#room.openRound()
      if (open && open.round > round) return this.#move(from, startNextRound(from))
      await this.#events.heard(signal)
    }
  }

  startTraining(from: Ready): Training {
    return this.#move(from, startTraining(from))
  }

  pause(from: Training): Paused {
    return this.#move(from, pause(from))
  }

  resume(from: Paused): Training {
    return this.#move(from, resume(from))
  }

  startAgain(from: Training | Paused | Reviewing | SendingFailed | Withdrawn): Ready {
    return this.#move(from, startAgain(from))
  }

  /** `bytes` is the packed update; from here on it must not change. */
  review(from: Ready | Training | Paused, bytes: Uint8Array): Reviewing {
    if (bytes.byteLength > from.membership.manifest.limits.updateBytes) {
      throw new ProtocolError('upload/too-large')
    }
    return this.#move(from, review(from, { bytes, digest: digestOf(bytes) }))
  }

  /**
   * Sends the update and returns once the relay says that it is durable. Drops and restarts of the relay are ridden
   * out; whatever is thrown (ProtocolError) also stands in the state `sending-failed`, from which to send again.
   */
  async send(from: Reviewing | SendingFailed, options: SendOptions = {}): Promise<Sent> {
    const connection = this.#connection
    if (!connection) throw new ProtocolError('protocol/not-joined')
    this.#move(from, send(from))
    const { manifest } = from.membership
    const total = from.update.bytes.byteLength
    try {
      const receipt = await uploadUpdate({
        connection,
        manifest,
        update: from.update,
        giveUpAfterMs: this.#options.giveUpAfterMs,
        signal: options.signal,
        onProgress: (sentBytes) => {
          if (this.#state.phase === 'sending') this.#move(this.#state, progress(this.#state, sentBytes))
          options.onProgress?.(sentBytes, total)
        },
      })
      if (receipt.digest !== from.update.digest) throw new ProtocolError('protocol/malformed')
      await checkSigned(receipt, manifest)
      return this.#move(this.#sending(), accepted(this.#sending(), receipt))
    } catch (error) {
      const cause = options.signal?.aborted ? new ProtocolError('client/aborted') : error
      if (this.#state.phase === 'sending' && cause instanceof ProtocolError) {
        this.#move(this.#state, failSending(this.#state, cause))
      }
      throw cause
    }
  }

  /**
   * Reviews and sends in one go, for programs that show no review. From `ready`, `training`, `paused`, `reviewing` or
   * `sending-failed`; returns the old receipt if this very update was sent before.
   */
  async upload(bytes: Uint8Array, options: SendOptions = {}): Promise<Receipt> {
    const state = this.#state
    switch (state.phase) {
      case 'withdrawn':
        return (await this.send(this.review(this.startAgain(state), bytes), options)).receipt
      case 'ready':
      case 'training':
      case 'paused':
        return (await this.send(this.review(state, bytes), options)).receipt
      case 'reviewing':
      case 'sending-failed':
        return (await this.send(this.review(this.startAgain(state), bytes), options)).receipt
      case 'sent':
        if (state.receipt.digest !== digestOf(bytes)) throw new ProtocolError('upload/second')
        return state.receipt
      case 'failed':
        throw state.error
      case 'joining':
        throw new ProtocolError('protocol/not-joined')
      case 'sending':
      case 'left':
        throw new ProtocolError('client/stale')
      default:
        return state satisfies never
    }
  }

  /**
   * Takes the own contribution back: the merged model becomes what it would have been without it. Copies of versions
   * downloaded before remain. Throws ProtocolError `withdraw/…`.
   */
  async withdraw(from: Sent): Promise<Withdrawn> {
    const connection = this.#connection
    if (!connection) throw new ProtocolError('protocol/not-joined')
    const { retired } = await connection.request('withdraw', { digest: from.receipt.digest })
    for (const version of retired) this.#room.retired(version)
    this.#withdrawn('participant')
    const state = this.#state
    if (state.phase !== 'withdrawn') throw new ProtocolError('client/stale')
    return state
  }

  /** Tells the host's console how far this participant is; lost without harm when there is no connection. */
  async report(progress: Progress): Promise<void> {
    try {
      await this.#connection?.request('progress', progress)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
    }
  }

  /** The version's PEFT folder, checked against its digests. Throws ProtocolError `network/…`. */
  async download(version: Version): Promise<VersionFolder> {
    if (!this.#url || !this.#membership) throw new ProtocolError('protocol/not-joined')
    return downloadVersion(this.#url, this.#membership.room, version, this.#options.onWire)
  }

  /** Leaves the room; what was accepted stays accepted. */
  close(): void {
    this.#connection?.close()
    if (this.#state.phase !== 'sent' && this.#state.phase !== 'left')
      this.#move(this.#state, leave(this.#state))
  }

  #sending(): Sending {
    if (this.#state.phase !== 'sending') throw new ProtocolError('client/stale')
    return this.#state
  }

  #joined(answer: Accepted<'join'>): void {
    if (manifestDigest(answer.manifest) !== answer.manifestDigest) throw new ProtocolError('manifest/digest')
    const known = this.#membership
    if (known && known.manifestDigest !== answer.manifestDigest) throw new ProtocolError('manifest/digest')
    const { participant, token, manifest } = answer
    this.#membership = {
      room: manifest.room,
      participant,
      token,
      manifest,
      manifestDigest: answer.manifestDigest as Digest,
    }
    this.#room.setStatus(answer.status)
    for (const version of answer.versions) this.#room.published(version)
    if (this.#state.phase === 'joining') {
      this.#move(this.#state, joined(this.#state, this.#membership, answer.receipt))
    } else if (this.#state.phase === 'sent' && answer.receipt === null) {
      const { round } = this.#state.receipt
      // Another round has begun: then there is no receipt of it yet. Otherwise it was taken out while away.
      if (round === undefined || round === answer.status.round?.round) this.#withdrawn('host')
    }
  }

  #withdrawn(by: Withdrawn['by']): void {
    if (this.#state.phase === 'sent') this.#move(this.#state, withdrawn(this.#state, by))
  }

  #ended(error: ProtocolError): void {
    const { phase } = this.#state
    if (error.code === 'room/deleted' && this.#state.phase === 'sent') {
      this.#move(this.#state, roomDeleted(this.#state, error))
      return
    }
    // An upload that fails by this says so itself, and keeps the update.
    if (phase === 'sent' || phase === 'left' || phase === 'failed' || phase === 'sending') return
    this.#move(this.#state, fail(this.#state as Exclude<RoundState, { phase: 'sent' | 'left' }>, error))
  }

  #move<To extends RoundState>(from: RoundState, to: To): To {
    if (from !== this.#state) throw new ProtocolError('client/stale')
    this.#state = to
    this.#events.tell('state', to)
    return to
  }
}
