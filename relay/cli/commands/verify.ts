/** `verify`: a room's folder checked from its audit log down to the bits of every update and version. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Manifest } from '../../protocol/index.ts'
import { roomVerifier } from '../../server/room-verifier.ts'
import { type RoomVerifier, verifyRoom } from '../../store/verify-room.ts'
import type { Command } from '../command.ts'
import { CliError, fileError, UsageError } from '../errors.ts'

export const command: Command = {
  usage: 'ROOM_DIR',
  about: `Checks a room's folder (DATA_DIR/rooms/NAME): that the audit log follows from itself, that the updates and
versions are those it tells of and no others, and that each version follows from its updates to the bit.`,
  options: {
    start: {
      type: 'string',
      value: 'FILE',
      help: "the start file of a room that trains lora-sb (beside the host's model files)",
    },
  },
  async run(args, console) {
    const [directory, ...more] = args.positionals
    if (directory === undefined || more.length > 0) throw new UsageError("Name one room's folder.")
    const startFile = args.text('start')
    const start = startFile === undefined ? null : await readLocalFile(startFile)
    const verifier = roomVerifier(start)
    const needStart = (manifest: Manifest) => {
      if (!manifest.adapter.start || start !== null) return
      throw new CliError(
        'verify/start-missing',
        `The versions of room ${manifest.room} can be made again only from its start file: name it with --start FILE.`,
      )
    }
    const checking: RoomVerifier = {
      async merge(manifest, ...rest) {
        needStart(manifest)
        return verifier.merge(manifest, ...rest)
      },
      async checkRelease(manifest, ...rest) {
        needStart(manifest)
        return verifier.checkRelease(manifest, ...rest)
      },
    }
    const verified = await verifyRoom(path.resolve(directory), checking, (checked) =>
      console.note(`oneround: checked ${checked}`),
    )
    if (verified.problems.length > 0) {
      throw new CliError(
        'verify/damaged',
        `${verified.problems.join(' ')} Restore the data folder from a copy.`,
      )
    }
    const { room, lines, updates, withdrawn, versions, retired } = verified
    console.result({ room, intact: true, lines, updates, withdrawn, versions, retired })
    console.print(
      `Room ${room} is intact: ${lines} lines of the log, ${updates} updates (${withdrawn} withdrawn), ${versions} versions (${retired} erased).\n`,
    )
  },
}

async function readLocalFile(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (error) {
    throw fileError('read', file, error)
  }
}
