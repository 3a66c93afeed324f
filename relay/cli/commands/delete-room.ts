/** `delete-room`: takes a room out of a data folder, while the relay is stopped; a running one is asked in its console. */
import { access } from 'node:fs/promises'
import path from 'node:path'
import { RelayStore } from '../../store/relay-store.ts'
import type { Command } from '../command.ts'
import { CliError, UsageError } from '../errors.ts'

const counted = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`

export const command: Command = {
  usage: 'DATA_DIR ROOM --yes',
  about: `Deletes a room with its contributions, its merged versions and its log. This cannot be undone, and the name stays
taken. For a relay that is stopped; the console of a running one has the same at the end of each room. Copy what you want
to keep first: \`oneround backup\`.`,
  options: {
    yes: { type: 'boolean', help: 'really delete it; without it, only what would go is said' },
  },
  async run(args, console) {
    const [given, name, ...more] = args.positionals
    if (given === undefined || name === undefined || more.length > 0) {
      throw new UsageError('Name a data folder and a room.')
    }
    const dataDir = path.resolve(given)
    await access(path.join(dataDir, 'relay.sqlite')).catch((cause) => {
      throw new CliError('file/missing', `${dataDir} is not a relay's data folder: it has no relay.sqlite.`, {
        cause,
      })
    })
    const store = await RelayStore.open({ directory: dataDir })
    try {
      const room = store.restored.find((one) => one.store.room === name)?.store
      if (!room) {
        const rooms = store.restored.map((one) => one.store.room)
        const there = rooms.length === 0 ? 'none' : rooms.join(', ')
        throw new CliError('room/unknown', `${dataDir} has no room ${JSON.stringify(name)}; it has ${there}.`)
      }
      const holds = `${counted(room.contributions(), 'contribution')} and ${counted(room.versions().length, 'version')}`
      if (!args.flag('yes')) {
        throw new UsageError(`Nothing was deleted: ${name} holds ${holds}. Give --yes to delete it for good.`)
      }
      const deleted = store.commitDeletion(room)
      await store.eraseDeleted(name)
      console.result({ dataDir, ...deleted })
      console.print(`Deleted the room ${name} with ${holds}.\n`)
    } finally {
      store.close()
    }
  },
}
