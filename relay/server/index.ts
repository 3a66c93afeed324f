/** What the command line and the dev server use of the relay. */
export { SECURITY_HEADERS } from './headers.ts'
export type { ServedModel } from './http.ts'
export { type Relay, type RelayOptions, startRelay } from './server.ts'
