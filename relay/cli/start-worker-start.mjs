/**
 * Starts start-worker.ts in a thread: in Node 20 a thread does not inherit the TypeScript loader, so this file of plain
 * JavaScript brings its own.
 */
import { tsImport } from 'tsx/esm/api'

await tsImport('./start-worker.ts', import.meta.url)
