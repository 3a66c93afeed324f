/** What a tab and the command line use to take part in a round. */
export { RelayClient, type RelayClientOptions, type SendOptions } from './client.ts'
export type { ClientEvents } from './client-events.ts'
export type { ResumeToken } from './connection.ts'
export { downloadVersion, type VersionFolder } from './download.ts'
export type { RoundStart } from './known-room.ts'
export type * from './states.ts'
export type { WireListener, WireMessage } from './wire-log.ts'
