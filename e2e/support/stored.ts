/** What a relay holds of a room, for tests that look behind the page. */
import fs from 'node:fs'
import path from 'node:path'
import { parseSafetensors } from '../../models/formats/safetensors.ts'
import type { RelayProcess } from './relay-process.ts'

/** The version that a stored update was trained from, as its file says. */
export function startOf({ answer }: RelayProcess, update: string): string | undefined {
  const file = path.join(answer.dataDir, 'rooms', answer.room, 'updates', update)
  return parseSafetensors(fs.readFileSync(file)).metadata.get('start')
}

/** As the relay lists them, oldest first. */
export async function versionsOf({ answer }: RelayProcess): Promise<{ version: number; digest: string }[]> {
  const response = await fetch(`${answer.url}/api/rooms/${answer.room}/versions`)
  return (await response.json()).versions
}
