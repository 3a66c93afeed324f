/** A stretch of network between a client and a relay that a test can cut, without a word to either end. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Proxy {
  readonly url: string
  /** Cuts every connection; new ones go through. */
  cut(): void
  close(): Promise<void>
}

export async function startProxy(relayUrl: string): Promise<Proxy> {
  const { hostname, port } = new URL(relayUrl)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const relay = connect({ host: hostname, port: Number(port) })
    for (const [from, to] of [
      [client, relay],
      [relay, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    close() {
      cut()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
