/** Limits by address, readiness and metrics, on a running relay. */
import { io, type Socket } from 'socket.io-client'
import { afterEach, expect, it } from 'vitest'
import { nodeFileSystem } from '../store/file-system.ts'
import type { RelayOptions } from './server.ts'
import { openWebSocket } from './testing/raw.ts'
import { startTestRelay, temporaryFolder } from './testing/round.ts'

const cleanups: (() => PromiseLike<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(changes: Partial<RelayOptions>) {
  const folder = await temporaryFolder()
  const relay = await startTestRelay(folder.path, changes)
  cleanups.push(
    () => folder[Symbol.asyncDispose](),
    () => relay.close(),
  )
  return relay
}

async function connect(url: string, extraHeaders: Record<string, string> = {}): Promise<Socket> {
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false, extraHeaders })
  cleanups.push(() => void socket.disconnect())
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('connect_error', reject)
  })
  return socket
}

const join = (socket: Socket, more: object = {}) =>
  socket.timeout(10_000).emitWithAck('join', { protocolVersion: 1, room: 'class-7b', ...more })

it('lets a class behind one address in, and a machine that opens more than its share not', async () => {
  const relay = await start({ limits: { sockets: 32 } })
  const sockets = await Promise.all(Array.from({ length: 32 }, () => connect(relay.url)))
  const answers = await Promise.all(sockets.slice(0, 30).map((socket) => join(socket)))
  expect(answers.every(({ ok }) => ok)).toBe(true)
  await expect(connect(relay.url)).rejects.toThrow()
  sockets[0]!.disconnect()
  await expect
    .poll(() =>
      connect(relay.url).then(
        (socket) => socket.connected,
        () => false,
      ),
    )
    .toBe(true)
})

it('counts new participants by address, and never who resumes', async () => {
  const relay = await start({ limits: { joinsPerMinute: 3 } })
  const joined = []
  for (let i = 0; i < 3; i++) joined.push(await join(await connect(relay.url)))
  expect(joined.map(({ ok }) => ok)).toEqual([true, true, true])
  expect(await join(await connect(relay.url))).toEqual({ ok: false, code: 'request/too-often' })
  const { participant, token } = joined[0]
  expect(await join(await connect(relay.url), { resume: { participant, token } })).toMatchObject({ ok: true })
})

it('counts by what the trusted proxy wrote, not by what the client claims', async () => {
  const limits = { joinsPerMinute: 1 }
  const behindProxy = await start({ limits, trustProxy: true })
  const from = (url: string, forwarded: string) =>
    connect(url, { 'X-Forwarded-For': forwarded }).then((s) => join(s))
  expect(await from(behindProxy.url, '192.0.2.1')).toMatchObject({ ok: true })
  expect(await from(behindProxy.url, '192.0.2.2')).toMatchObject({ ok: true })
  expect(await from(behindProxy.url, '10.9.8.7, 192.0.2.1')).toMatchObject({ code: 'request/too-often' })
  const direct = await start({ limits })
  expect(await from(direct.url, '192.0.2.1')).toMatchObject({ ok: true })
  expect(await from(direct.url, '192.0.2.2')).toMatchObject({ code: 'request/too-often' })
})

it('lets nobody guess join codes or host tokens', async () => {
  const relay = await start({ limits: { wrongSecretsPerMinute: 4 } })
  relay.setJoinCode('class-7b', '7KQ4-M2XT')
  const codes = []
  for (let i = 0; i < 6; i++) codes.push((await join(await connect(relay.url), { code: `WRONG-${i}` })).code)
  expect(codes).toEqual([...Array(4).fill('join/code'), ...Array(2).fill('request/too-often')])
  // Not even the right one tells a guesser that it is right.
  expect(await join(await connect(relay.url), { code: '7KQ4-M2XT' })).toMatchObject({
    code: 'request/too-often',
  })
  const overview = (token: string) =>
    fetch(`${relay.url}/api/rooms/class-7b/overview`, { headers: { Authorization: `Bearer ${token}` } })
  expect((await overview('wrong')).status).toBe(429)
  expect((await overview(relay.hostToken)).status).toBe(200)
})

it('is ready while it can write, and says so when it cannot', async () => {
  let full = false
  const fileSystem = {
    ...nodeFileSystem,
    async write(path: string, bytes: Uint8Array) {
      if (full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
      await nodeFileSystem.write(path, bytes)
    },
  }
  const relay = await start({ fileSystem })
  const ready = await fetch(`${relay.url}/readyz`)
  expect([ready.status, await ready.json()]).toEqual([200, { ready: true, reasons: [] }])
  full = true
  await expect.poll(async () => (await fetch(`${relay.url}/readyz`)).status, { timeout: 5000 }).toBe(503)
  expect(await (await fetch(`${relay.url}/readyz`)).json()).toEqual({ ready: false, reasons: ['store'] })
  expect((await fetch(`${relay.url}/healthz`)).status).toBe(200)
})

it('shows metrics to its own machine and to the host, with nobody in them', async () => {
  const relay = await start({})
  const { participant } = await join(await connect(relay.url))
  const text = await (await fetch(`${relay.url}/metrics`)).text()
  expect(text).toMatch(/^oneround_participants 1$/m)
  expect(text).toMatch(/^oneround_message_seconds_count\{event="join"\} 1$/m)
  for (const secret of [participant, '127.0.0.1', 'class-7b', relay.hostToken])
    expect(text).not.toContain(secret)
  const proxied = (headers: Record<string, string>) =>
    fetch(`${relay.url}/metrics`, { headers: { 'X-Forwarded-For': '192.0.2.1', ...headers } })
  expect((await proxied({})).status).toBe(401)
  expect((await proxied({ Authorization: `Bearer ${relay.hostToken}` })).status).toBe(200)
})

it('drops a socket whose other end is gone without a word, and keeps one that answers', async () => {
  const relay = await start({ patience: { pingMs: 200 } })
  const alive = await connect(relay.url)
  expect(await join(alive)).toMatchObject({ ok: true })
  const gone = await openWebSocket(relay.url)
  const connections = async () =>
    Number(/^oneround_sockets (\d+)$/m.exec(await (await fetch(`${relay.url}/metrics`)).text())?.[1])
  gone.send('40') // enters the namespace, and answers no ping from here on
  await expect.poll(connections, { timeout: 5000 }).toBe(2)
  await expect.poll(connections, { timeout: 10_000 }).toBe(1)
  expect(await gone.endedByRelay(5000)).toBe(true)
  expect(alive.connected).toBe(true)
})
