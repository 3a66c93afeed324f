/**
 * A client that shares no code with this project (scripts/python_client.py: python-socketio, peft, the protocol's
 * document) takes part in a room: its update is accepted, and the merged model contains it.
 */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../../relay/server/testing/round.ts'
import { peftPython } from '../../scripts/peft-python.ts'
import { RelayProcess } from '../support/relay-process.ts'

const root = path.resolve(import.meta.dirname, '../..')
const run = promisify(execFile)

const found = await peftPython()
if ('missing' in found) process.stdout.write(`skipped: the Python client, because ${found.missing}\n`)

it.skipIf('missing' in found)(
  'trains with peft, sends and is merged',
  async () => {
    if ('missing' in found) return
    await using folder = await temporaryFolder()
    const relay = await RelayProcess.start({
      dataDir: path.join(folder.path, 'data'),
      args: ['--publish-every', '1'],
    })
    const { url, room } = relay.answer
    try {
      const script = path.join(root, 'scripts/python_client.py')
      const { stdout } = await run(found.python, [script, url, path.join(root, 'models/catalog/tiny')], {
        timeout: 300_000,
        env: { ...process.env, HF_HUB_OFFLINE: '1' },
      })
      const receipt = JSON.parse(stdout)
      expect(receipt).toMatchObject({ room, examples: 2, contribution: 1 })
      const about = () => fetch(`${url}/api/rooms/${room}/versions/1/version.json`)
      await expect.poll(async () => (await about()).status, { timeout: 30_000 }).toBe(200)
      expect((await (await about()).json()).updateDigests).toEqual([receipt.digest])
    } finally {
      await relay.stop()
    }
  },
  600_000,
)
