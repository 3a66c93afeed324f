/**
 * The relay: one port for the page, the base model's files, the API and the sockets; one data folder for what was
 * accepted. It loads no tensor library: it adds up numbers and never runs a model.
 */
import type { Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import pino, { type Logger } from 'pino'
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { DeletedRoom, Offer, OfferedModel, StartRequest } from '../protocol/host.ts'
import { type Manifest, parseManifest } from '../protocol/manifest.ts'
import type { Measured } from '../protocol/measured.ts'
import type { FileSystem } from '../store/file-system.ts'
import { RelayStore } from '../store/relay-store.ts'
import type { RoomStore } from '../store/room-store.ts'
import { type AddressLimits, DEFAULT_ADDRESS_LIMITS, RateLimit } from './address-limits.ts'
import { applySecurityHeaders } from './headers.ts'
import { createHttpHandler, type ServedModel } from './http.ts'
import { createHttpServer, DEFAULT_PATIENCE, type Patience } from './http-server.ts'
import { hostTokenOf, ParticipantTokens } from './identity.ts'
import { JobThread } from './job-thread.ts'
import { RelayMetrics } from './metrics.ts'
import { Room } from './room.ts'
import { attachSockets, participantChannel, type Sockets } from './sockets.ts'

export interface RelayOptions {
  readonly dataDir: string
  /** Address to bind; loopback unless told otherwise. */
  readonly host?: string
  /** 0, the default, takes a free one. */
  readonly port?: number
  /** The built page; null or absent serves the API alone. */
  readonly pageDir?: string | null
  readonly modelFiles: readonly ServedModel[]
  /** PEM texts; with them the relay speaks HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Rooms to open besides those the data folder has; one that exists must have the same manifest. */
  readonly rooms: readonly Manifest[]
  /** Origins besides the relay's own whose pages may connect, e.g. `https://learn.example.org` behind a proxy. */
  readonly allowedOrigins?: readonly string[]
  /** Default: the data folder's own, the same at every start. */
  readonly hostToken?: string
  /** What the host's console may open rooms with; asked for once the relay listens. */
  readonly offer?: (relay: Relay) => Offer
  /** Makes a start file of `lora-sb` and serves it. Throws ProtocolError `host/start-failed` or `room/unknown-base`. */
  readonly makeStart?: (request: StartRequest) => Promise<OfferedModel>
  /** Default: JSON lines on stderr, level info. */
  readonly log?: Logger
  readonly fileSystem?: FileSystem
  /** Bytes in the data folder from which on no new upload begins; no limit where it is left out. */
  readonly diskQuotaBytes?: number
  readonly joinTimeoutMs?: number
  /** How long a request may take to arrive, and a silent socket to be heard of again; for tests. */
  readonly patience?: Partial<Patience>
  /** A version waits for the host's measurement (the room has a gate); its PEFT files lie in `folder`. */
  readonly onCandidate?: (candidate: WaitingCandidate) => void
  /** What one network address may take; absent ones are the defaults. */
  readonly limits?: Partial<AddressLimits>
  /** Behind a proxy that writes X-Forwarded-For, its last entry is whom a request is counted to. */
  readonly trustProxy?: boolean
}

export interface WaitingCandidate {
  readonly room: string
  readonly digest: Digest
  readonly contributions: number
  readonly folder: string
}

export interface Relay {
  /** `http(s)://HOST:PORT` with the address bound (loopback's name where all interfaces are). */
  readonly url: string
  readonly port: number
  /** Whoever sends it as `Authorization: Bearer` is the host; another one once it was replaced. */
  readonly hostToken: string
  /** Ed25519, 64 hex digits: a room whose manifest names it as `receiptKey` gives signed receipts. */
  readonly receiptKey: string
  /** Names, those of earlier runs included. */
  rooms(): string[]
  createRoom(manifest: Manifest): Promise<void>
  /**
   * With all that was accepted and published in it, for good; its name stays taken. Resolves when nothing of it is on
   * the disk any more. Throws ProtocolError `room/unknown` or `room/deleted`.
   */
  deleteRoom(room: string): Promise<DeletedRoom>
  /** Whether there was a room of this name. */
  wasDeleted(room: string): boolean
  /** Null: anybody who knows the address may join. */
  setJoinCode(room: string, code: string | null): void
  joinCode(room: string): string | null
  /** The host's measurement of a candidate. True if it is published now, false if it is held back. */
  judge(room: string, digest: Digest, measured: Measured): Promise<boolean>
  /** Refuses new updates from now on and publishes what is waiting. */
  closeRoom(room: string): Promise<void>
  /** Ends connections after answering what is being handled; the data folder may then be opened again. */
  close(): Promise<void>
}

/** Throws ProtocolError `store/…`, `room/exists`, `room/unknown-base`, `manifest/malformed` or `relay/address`. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const log = options.log ?? pino({ level: 'info' }, pino.destination({ dest: 2, sync: true }))
  const store = await RelayStore.open({
    directory: options.dataDir,
    fileSystem: options.fileSystem,
    quotaBytes: options.diskQuotaBytes,
  })
  const relay = new RunningRelay(options, store, log)
  try {
    await relay.start()
  } catch (error) {
    await relay.close()
    throw error
  }
  return relay
}

class RunningRelay implements Relay {
  #hostToken: string
  readonly #options: RelayOptions
  readonly #store: RelayStore
  readonly #log: Logger
  readonly #rooms = new Map<string, Room>()
  readonly #tokens: ParticipantTokens
  /** Two threads, so that a long merge keeps nobody waiting for a receipt. */
  readonly #inspecting = new JobThread()
  readonly #merging = new JobThread()
  readonly #http: HttpServer | HttpsServer
  readonly #sockets: Sockets
  #closing: Promise<void> | undefined
  /** Rooms whose files are being erased. */
  readonly #erasing = new Set<Promise<void>>()

  constructor(options: RelayOptions, store: RelayStore, log: Logger) {
    this.#options = options
    this.#store = store
    this.#log = log
    this.#hostToken = options.hostToken ?? hostTokenOf(store.hostKey)
    this.#tokens = new ParticipantTokens(store.tokenKey)
    const findRoom = (name: string) => this.#existing(name)
    const limits = { ...DEFAULT_ADDRESS_LIMITS, ...options.limits }
    const guarded = {
      wrongSecrets: new RateLimit(limits.wrongSecretsPerMinute),
      trustProxy: options.trustProxy ?? false,
      metrics: new RelayMetrics({
        rooms: () => this.#rooms.values(),
        sockets: () => this.#sockets.server.engine.clientsCount,
      }),
    }
    const handler = createHttpHandler({
      ...guarded,
      unreadiness: () => this.#unreadiness(),
      pageDir: options.pageDir ?? null,
      models: options.modelFiles,
      hostToken: () => this.#hostToken,
      replaceHostToken: () => this.#replaceHostToken(),
      rooms: () => this.#rooms.values(),
      findRoom,
      // Whoever sends a manifest from afar cannot know the key.
      createRoom: (manifest) => this.#createRoom({ ...manifest, receiptKey: this.receiptKey }),
      deleteRoom: (name) => this.deleteRoom(name),
      offer: () => options.offer?.(this) ?? null,
      makeStart: options.makeStart ?? null,
      log,
    })
    const patience = { ...DEFAULT_PATIENCE, ...options.patience }
    const socketsPerAddress = guarded.trustProxy ? null : limits.sockets
    this.#http = createHttpServer({ tls: options.tls, patience, socketsPerAddress }, handler)
    this.#sockets = attachSockets({
      ...guarded,
      limits,
      http: this.#http,
      findRoom,
      allowedOrigins: options.allowedOrigins ?? [],
      log,
      joinTimeoutMs: options.joinTimeoutMs,
      pingMs: patience.pingMs,
    })
    // After the sockets took their place, before them in line: their answers carry the headers too.
    this.#http.prependListener('request', (_, response) => applySecurityHeaders(response))
  }

  get hostToken(): string {
    return this.#hostToken
  }

  /** Durable, and in the rooms' logs, before the answer; requests with the old one are refused from here on. */
  async #replaceHostToken(): Promise<string> {
    this.#hostToken = hostTokenOf(this.#store.replaceHostKey())
    this.#log.info('the host key was replaced')
    await Promise.all([...this.#rooms.values()].map((room) => room.store.audit.flush()))
    return this.#hostToken
  }

  get receiptKey(): string {
    return this.#store.signer.publicKey
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port
  }

  get url(): string {
    const { address, family } = this.#http.address() as AddressInfo
    const host =
      address === '::' || address === '0.0.0.0' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
    return `${this.#options.tls ? 'https' : 'http'}://${host}:${this.port}`
  }

  rooms(): string[] {
    return [...this.#rooms.keys()]
  }

  async createRoom(manifest: Manifest): Promise<void> {
    await this.#createRoom(parseManifest(manifest))
  }

  async deleteRoom(name: string): Promise<DeletedRoom> {
    const room = this.#existing(name)
    const deleted = await room.delete(() => this.#store.commitDeletion(room.store))
    this.#rooms.delete(name)
    this.#sockets.dismissRoom(name, 'room/deleted')
    this.#log.info({ room: name }, 'room deleted')
    const erased = room
      .settled()
      .then(() => this.#store.eraseDeleted(name))
      .finally(() => this.#erasing.delete(erased))
    this.#erasing.add(erased)
    await erased
    return deleted
  }

  wasDeleted(name: string): boolean {
    return this.#store.wasDeleted(name)
  }

  async closeRoom(name: string): Promise<void> {
    await this.#existing(name).close()
  }

  async judge(name: string, digest: Digest, measured: Measured): Promise<boolean> {
    const { candidate } = await this.#existing(name).judge(digest, measured)
    return candidate?.digest !== digest
  }

  setJoinCode(name: string, code: string | null): void {
    this.#existing(name).setJoinCode(code)
  }

  joinCode(name: string): string | null {
    return this.#existing(name).store.joinCode()
  }

  async start(): Promise<void> {
    for (const { store, closed } of this.#store.restored) {
      const room = this.#addRoom(store, closed)
      await room.recover()
    }
    for (const manifest of this.#options.rooms) {
      if (!this.#store.hasRoom(parseManifest(manifest))) await this.#createRoom(manifest)
    }
    await this.#listen()
    for (const room of this.#rooms.values()) this.#auditInBackground(room)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#rooms.values()].map((room) => room.answered()))
    await this.#sockets.close()
    await Promise.all([this.#inspecting.close(), this.#merging.close()])
    await Promise.all([...this.#rooms.values()].map((room) => room.settled()))
    // What could not be erased, the next start erases.
    await Promise.allSettled(this.#erasing)
    this.#store.close()
  }

  async #unreadiness(): Promise<string[]> {
    const reasons: string[] = []
    if (this.#closing) reasons.push('stopping')
    else if (!(await this.#store.isWritable())) reasons.push('store')
    if (!this.#inspecting.isOpen || !this.#merging.isOpen) reasons.push('jobs')
    return reasons
  }

  #existing(name: string): Room {
    const room = this.#rooms.get(name)
    if (!room) throw new ProtocolError(this.#store.wasDeleted(name) ? 'room/deleted' : 'room/unknown')
    return room
  }

  async #createRoom(manifest: Manifest): Promise<Room> {
    const served = this.#options.modelFiles.some(({ digest }) => digest === manifest.base.digest)
    if (!served) throw new ProtocolError('room/unknown-base')
    const { start } = manifest.adapter
    if (start && this.#startPath(manifest) === null) {
      throw new ProtocolError(
        'room/unknown-base',
        `The relay does not have the room's start file ${start.name}; give it among the base model's files.`,
      )
    }
    return this.#addRoom(await this.#store.createRoom(manifest), false)
  }

  /** Where the room's start file lies: among the base's. */
  #startPath({ base, adapter: { start } }: Manifest): string | null {
    if (!start) return null
    const served = this.#options.modelFiles.find(({ digest }) => digest === base.digest)
    return served?.files.get(start.name) ?? null
  }

  #addRoom(store: RoomStore, closed: boolean): Room {
    const { room: name } = store
    const room = new Room({
      store,
      closed,
      tokens: this.#tokens,
      inspecting: this.#inspecting,
      merging: this.#merging,
      startPath: this.#startPath(store.manifest),
      listener: {
        status: (status) => this.#sockets.server.to(name).emit('status', status),
        published: (version) => this.#sockets.server.to(name).emit('published', version),
        candidate: ({ digest, contributions }, folder) =>
          this.#options.onCandidate?.({ room: name, digest, contributions, folder }),
        retired: (version) => this.#sockets.server.to(name).emit('retired', { version }),
        withdrawn: (participant, withdrawal) =>
          this.#sockets.server.to(participantChannel(name, participant)).emit('withdrawn', withdrawal),
      },
      log: this.#log,
    })
    this.#rooms.set(name, room)
    return room
  }

  #auditInBackground(room: Room): void {
    room.audit().catch((error: unknown) => {
      if (error instanceof ProtocolError && error.code === 'relay/stopping') return
      this.#log.error({ err: error, room: room.store.room }, 'the newest version could not be checked')
    })
  }

  #listen(): Promise<void> {
    const { host = '127.0.0.1', port = 0 } = this.#options
    return new Promise((resolve, reject) => {
      const failed = (error: Error) => reject(new ProtocolError('relay/address', undefined, { cause: error }))
      this.#http.once('error', failed)
      this.#http.listen(port, host, () => {
        this.#http.off('error', failed)
        resolve()
      })
    })
  }
}
