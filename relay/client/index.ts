/** What a tab and the command line use to take part in a round. */
export {
  type ClientEvents,
  RelayClient,
  type RelayClientOptions,
  type RoundStart,
  type SendOptions,
} from './client.ts'
export type { ResumeToken } from './connection.ts'
export { downloadVersion, type VersionFolder } from './download.ts'
export type * from './states.ts'
export type { WireListener, WireMessage } from './wire-log.ts'
