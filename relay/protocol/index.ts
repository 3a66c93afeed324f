/** The protocol between a client and a relay: what both ends import. In words: docs/protocol.md. */
export * from './canonical.ts'
export * from './errors.ts'
export * from './limits.ts'
export * from './manifest.ts'
export * from './messages.ts'
export { roomName } from './fields.ts'
