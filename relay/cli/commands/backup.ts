/** `backup`: a consistent copy of a data folder, also while the relay is running. */
import path from 'node:path'
import { copyDataFolder } from '../../store/backup.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../errors.ts'

export const command: Command = {
  usage: 'DATA_DIR --out DIR',
  about: `Copies a relay's data folder, also while the relay is running: every room, update and version, each checked by
its digest. Unfinished uploads are left out. The copy holds the relay's keys: keep it as safe as the data folder.`,
  options: { out: { type: 'string', value: 'DIR', help: 'the copy: a folder that does not exist yet' } },
  async run(args, console) {
    const [dataDir, ...more] = args.positionals
    if (dataDir === undefined || more.length > 0) throw new UsageError('Name one data folder.')
    const out = path.resolve(args.needed('out', 'where the copy goes'))
    const copied = await copyDataFolder(path.resolve(dataDir), out)
    console.result({ backup: out, ...copied })
    console.print(
      `Copied ${copied.rooms} rooms, ${copied.updates} updates and ${copied.versions} versions to ${out}, each checked.\n`,
    )
  },
}
