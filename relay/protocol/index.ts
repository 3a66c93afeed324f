/** The protocol between a client and a relay: what both ends import. In words: docs/protocol.md. */
export * from './canonical.ts'
export * from './create-manifest.ts'
export * from './errors.ts'
export { joinCode, roomName } from './fields.ts'
export * from './limits.ts'
export * from './manifest.ts'
export * from './messages.ts'
export * from './strategy.ts'
