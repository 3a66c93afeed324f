/**
 * WebKitGTK, the engine of Safari on Linux: its MiniBrowser by its WebKitWebDriver, on a display of its own in memory where
 * there is none.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import type { Missing } from './commands.ts'
import { HttpDriver } from './http-driver.ts'
import { OtherBrowser } from './other-browser.ts'
import { onPath, start, stop, until } from './programs.ts'

export async function openWebkit(): Promise<OtherBrowser | Missing> {
  const program = onPath('WebKitWebDriver')
  const binary = findMiniBrowser()
  if (!program || !binary) return { missing: 'no WebKitGTK driver: install webkit2gtk-driver' }
  const display = process.env.DISPLAY ? null : await openDisplay()
  if (display !== null && 'missing' in display) return display
  const port = await freePort()
  const child = start(program, [`--port=${port}`, '--host=127.0.0.1'], {
    ...(display && { DISPLAY: display.name }),
    // Without a graphics card its compositor waits for one.
    LIBGL_ALWAYS_SOFTWARE: '1',
  })
  const end = async () => {
    await stop(child)
    if (display) await stop(display.child)
  }
  return OtherBrowser.open(program, end, async () => {
    const url = `http://127.0.0.1:${port}`
    await until(async () => (await fetch(`${url}/status`).catch(() => null))?.ok ?? false)
    return new HttpDriver(url, { 'webkitgtk:browserOptions': { binary, args: ['--automation'] } })
  })
}

/** It is not on the PATH: /usr/lib/ARCHITECTURE/webkit2gtk-VERSION/MiniBrowser, or without the architecture. */
function findMiniBrowser(): string | undefined {
  const inside = (folder: string) =>
    fs.existsSync(folder) ? fs.readdirSync(folder).map((name) => path.join(folder, name)) : []
  const libraries = [
    '/usr/libexec',
    '/usr/lib',
    ...inside('/usr/lib').filter((name) => name.endsWith('-gnu')),
  ]
  return libraries
    .flatMap(inside)
    .filter((folder) => /\/webkit(2?gtk)?-[\d.]+$/.test(folder))
    .map((folder) => path.join(folder, 'MiniBrowser'))
    .find((file) => fs.existsSync(file))
}

/** Xvfb chooses a free number and writes it to descriptor 3. */
async function openDisplay(): Promise<{ child: ChildProcess; name: string } | Missing> {
  const program = onPath('Xvfb')
  if (!program) return { missing: 'no display for WebKitGTK: install xvfb, or set DISPLAY' }
  const child = spawn(program, ['-displayfd', '3', '-screen', '0', '1280x1600x24'], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const [number] = await once(child.stdio[3] as NodeJS.ReadableStream, 'data')
  return { child, name: `:${String(number).trim()}` }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
