/** `host-key`: a new key for the host's console, while the relay is stopped; a running one is asked in its console. */
import { access } from 'node:fs/promises'
import path from 'node:path'
import { hostTokenOf } from '../../server/identity.ts'
import { RelayStore } from '../../store/relay-store.ts'
import type { Command } from '../command.ts'
import { CliError, UsageError } from '../errors.ts'

export const command: Command = {
  usage: 'DATA_DIR',
  about: `Replaces the key of the host's console by a new one: links with the old one work no more. For a relay that is
stopped; the console of a running one has the same under "All rooms".`,
  options: {},
  async run(args, console) {
    const [given, ...more] = args.positionals
    if (given === undefined || more.length > 0) throw new UsageError('Name one data folder.')
    const dataDir = path.resolve(given)
    await access(path.join(dataDir, 'relay.sqlite')).catch((cause) => {
      throw new CliError('file/missing', `${dataDir} is not a relay's data folder: it has no relay.sqlite.`, {
        cause,
      })
    })
    const store = await RelayStore.open({ directory: dataDir })
    try {
      const hostToken = hostTokenOf(store.replaceHostKey())
      for (const { store: room } of store.restored) await room.audit.flush()
      console.result({ dataDir, hostToken })
      console.print(`The host's key is now ${hostToken}; the link is printed when the relay starts.\n`)
    } finally {
      store.close()
    }
  },
}
