/** `restore`: a data folder from a copy that `backup` made. */
import path from 'node:path'
import { copyDataFolder } from '../../store/backup.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../errors.ts'

export const command: Command = {
  usage: 'BACKUP_DIR --data-dir DIR',
  about: `Makes a data folder from a copy that \`backup\` made, each update and version checked by its digest. Participants keep
their tokens and receipts; what was accepted after the copy is not in it.`,
  options: {
    'data-dir': { type: 'string', value: 'DIR', help: 'a folder that does not exist yet, or is empty' },
  },
  async run(args, console) {
    const [backup, ...more] = args.positionals
    if (backup === undefined || more.length > 0) throw new UsageError('Name one folder that `backup` made.')
    const dataDir = path.resolve(args.needed('data-dir', 'where the relay will keep its data'))
    const restored = await copyDataFolder(path.resolve(backup), dataDir)
    console.result({ dataDir, ...restored })
    console.print(
      `Restored ${restored.rooms} rooms, ${restored.updates} updates and ${restored.versions} versions: \`oneround host --data-dir ${dataDir}\` goes on with them.\n`,
    )
  },
}
