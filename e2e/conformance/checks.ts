/**
 * Drives any relay from outside by docs/protocol.md alone: plain socket.io-client and fetch, and nothing of this
 * project's client, codec or schemas, so that what is wrong in both ends shows. Each check is one sentence of the
 * protocol. The relay needs one open room, without a join code, that trains `lora` and takes contributions of anybody;
 * two updates of zeros and near-zeros are sent to it, and one of them is withdrawn.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'socket.io-client'
import { handshake } from './handshake.ts'
import { type Answer, type CheckResult, expectThat, Outside, TIMEOUT_MS } from './outside.ts'
import { canonical, type Manifest, sha256, updateFile } from './update-file.ts'

export async function runConformance(relayUrl: string, roomName?: string): Promise<CheckResult[]> {
  const outside = new Outside(relayUrl)
  const { ask, check, connect, json, refused, url } = outside
  let room = roomName ?? ''
  let manifest: Manifest | undefined
  let manifestDigest = ''
  const join = (socket: Socket, more: object = {}) =>
    ask(socket, 'join', { protocolVersion: 1, room, ...more })
  const known = (): Manifest => {
    if (!manifest) throw new Error('found no manifest to go by')
    return manifest
  }
  const sendWhole = (socket: Socket, file: Buffer) => outside.send(socket, known(), file)

  // HTTP
  await check('GET /healthz answers {"ok":true}', async () => {
    const found = await json('/healthz')
    expectThat(found.ok === true, found)
  })
  await check('GET /api/rooms lists rooms with their manifest digests', async () => {
    const { rooms } = await json('/api/rooms')
    const found =
      roomName === undefined
        ? rooms.find((one: Answer) => one.joinable)
        : rooms.find((one: Answer) => one.room === roomName)
    expectThat(/^[0-9a-f]{64}$/.test(found?.manifestDigest), rooms)
    room = found.room
    manifestDigest = found.manifestDigest
  })
  await check('the manifest has the digest of its canonical JSON', async () => {
    manifest = await json(`/api/rooms/${room}/manifest`)
    expectThat(sha256(canonical(manifest)) === manifestDigest, sha256(canonical(manifest)))
  })
  await check('errors are {"error":{"code","message"}} with a code of the list', async () => {
    for (const [path, status, code] of [
      ['/api/rooms/no-such-room/manifest', 404, 'room/unknown'],
      ['/api/nothing', 404, 'request/not-found'],
      ['/models/..%2f..%2fetc/passwd', 404, 'request/not-found'],
    ] as const) {
      const answer = await fetch(url(path))
      const found: Answer = await answer.json()
      expectThat(
        answer.status === status && found.error.code === code && found.error.message.length > 0,
        found,
      )
    }
  })
  await check('what only the host may do needs the token', async () => {
    for (const path of ['close', 'publish', 'close-joining']) {
      const answer = await fetch(url(`/api/rooms/${room}/${path}`), { method: 'POST' })
      const found: Answer = await answer.json()
      expectThat(answer.status === 401 && found.error.code === 'host/token', found)
    }
  })
  await check('every answer carries the security headers', async () => {
    const { headers } = await fetch(url('/healthz'))
    expectThat(headers.get('cross-origin-opener-policy') === 'same-origin', [...headers])
    expectThat(headers.get('cross-origin-embedder-policy') === 'require-corp', [...headers])
    expectThat(/default-src 'none'/.test(headers.get('content-security-policy') ?? ''), [...headers])
  })

  // The socket
  await check('a page of another site may not connect, and polling is no way in', async () => {
    const found = await handshake(url('/socket.io/?EIO=4&transport=websocket'), 'https://elsewhere.example')
    expectThat(found.status === 403 && found.code === 'join/origin', found)
    const polling = await fetch(url('/socket.io/?EIO=4&transport=polling'))
    expectThat(polling.status === 400 || polling.status === 404, polling.status)
  })
  await check('a namespace other than / is refused', async () => {
    const failed = await connect('/admin').then(
      () => false,
      () => true,
    )
    expectThat(failed, 'connected')
  })
  await check(
    'messages before join, unknown events, fields too many: codes, and the connection stays',
    async () => {
      const socket = await connect()
      await refused('protocol/not-joined', ask(socket, 'commit', { digest: '0'.repeat(64) }))
      await refused('protocol/unknown-event', ask(socket, 'no-such-event', {}))
      await refused('protocol/malformed', ask(socket, 'join', { protocolVersion: 1, room, surplus: 1 }))
      await refused(
        'protocol/malformed',
        ask(socket, 'join', JSON.parse('{"protocolVersion":1,"room":"a","__proto__":{"x":1}}')),
      )
      await refused('protocol/malformed', ask(socket, 'join'))
      await refused('protocol/version', ask(socket, 'join', { protocolVersion: 999, room }))
      await refused('room/unknown', ask(socket, 'join', { protocolVersion: 1, room: 'no-such-room' }))
      expectThat((await join(socket)).ok === true, 'not joined')
      await refused('protocol/already-joined', join(socket))
    },
  )
  await check('join answers a participant, a token and the manifest with its digest', async () => {
    const found = await join(await connect())
    expectThat(
      found.ok && /^[0-9a-f]{32}$/.test(found.participant) && /^[0-9a-f]{64}$/.test(found.token),
      found,
    )
    expectThat(
      found.manifestDigest === manifestDigest && canonical(found.manifest) === canonical(manifest),
      found,
    )
    expectThat(found.upload === null && found.receipt === null && Array.isArray(found.versions), found)
  })
  await check('a wrong token is not the participant', async () => {
    const { participant } = await join(await connect())
    await refused('join/token', join(await connect(), { resume: { participant, token: '0'.repeat(64) } }))
  })
  await check('the newest connection counts; the older is told join/replaced', async () => {
    const older = await connect()
    const { participant, token } = await join(older)
    const told = new Promise<Answer>((resolve) => older.once('refused', resolve))
    expectThat(
      (await join(await connect(), { resume: { participant, token } })).participant === participant,
      participant,
    )
    const found = await Promise.race([
      told,
      new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS, 'nothing').unref()),
    ])
    expectThat((found as Answer).code === 'join/replaced', found)
  })
  await check(
    'a dropped connection resumes at the acknowledged offset; wrong offsets name the right one',
    async () => {
      const file = updateFile(known(), { manifestDigest, firstValue: 1e-4 })
      const digest = sha256(file)
      const first = await connect()
      const { participant, token } = await join(first)
      await refused('upload/not-begun', ask(first, 'chunk', { offset: 0, data: file.subarray(0, 8) }))
      await ask(first, 'begin', { digest, bytes: file.length })
      await refused('upload/chunk', ask(first, 'chunk', { offset: 0, data: Buffer.alloc(0) }))
      const half = Math.min(known().limits.chunkBytes, file.length >> 1)
      await ask(first, 'chunk', { offset: 0, data: file.subarray(0, half) })
      first.io.engine.close()
      const second = await connect()
      const rejoined = await join(second, { resume: { participant, token } })
      expectThat(rejoined.upload?.digest === digest && rejoined.upload.offset === half, rejoined.upload)
      expectThat(
        (await refused('upload/offset', ask(second, 'chunk', { offset: 0, data: file.subarray(0, 8) })))
          .offset === half,
        half,
      )
      expectThat(
        (await refused('upload/incomplete', ask(second, 'commit', { digest }))).offset === half,
        half,
      )
      const begun = await ask(second, 'begin', { digest, bytes: file.length })
      expectThat(begun.offset === half, begun)
    },
  )
  await check('an update too large is refused before a byte of it is sent', async () => {
    const socket = await connect()
    await join(socket)
    const bytes = known().limits.updateBytes + 1
    await refused('upload/too-large', ask(socket, 'begin', { digest: '0'.repeat(64), bytes }))
  })
  await check(
    'bytes with another digest, no update, another manifest: codes, and another may be sent',
    async () => {
      const socket = await connect()
      await join(socket)
      const garbage = randomBytes(100)
      const commitAs = async (file: Buffer, digest = sha256(file)) => {
        await ask(socket, 'begin', { digest, bytes: file.length })
        for (let offset = 0; offset < file.length; offset += known().limits.chunkBytes) {
          await ask(socket, 'chunk', {
            offset,
            data: file.subarray(offset, offset + known().limits.chunkBytes),
          })
        }
        return ask(socket, 'commit', { digest })
      }
      await refused('upload/digest', commitAs(garbage, '1'.repeat(64)))
      await refused('update/malformed', commitAs(garbage))
      await refused(
        'update/wrong-manifest',
        commitAs(updateFile(known(), { manifestDigest: '2'.repeat(64) })),
      )
      await refused(
        'update/examples',
        commitAs(updateFile(known(), { manifestDigest, examples: known().limits.examples + 1 })),
      )
    },
  )
  await check(
    'a committed update gets a receipt, the same when asked again; a second update is refused',
    async () => {
      const socket = await connect()
      const { participant, token } = await join(socket)
      const file = updateFile(known(), { manifestDigest, examples: 2, firstValue: 2e-4 })
      const digest = sha256(file)
      const { ok, receipt } = await sendWhole(socket, file)
      expectThat(
        ok === true && receipt.digest === digest && receipt.bytes === file.length && receipt.examples === 2,
        receipt,
      )
      expectThat(receipt.participant === participant && receipt.manifestDigest === manifestDigest, receipt)
      const again = await ask(socket, 'commit', { digest })
      expectThat(canonical(again.receipt) === canonical(receipt), again)
      const begun = await ask(socket, 'begin', { digest, bytes: file.length })
      expectThat(canonical(begun.receipt) === canonical(receipt), begun)
      const other = updateFile(known(), { manifestDigest, examples: 2, firstValue: 3e-4 })
      await refused('upload/second', ask(socket, 'begin', { digest: sha256(other), bytes: other.length }))
      const rejoined = await join(await connect(), { resume: { participant, token } })
      expectThat(canonical(rejoined.receipt) === canonical(receipt), rejoined.receipt)
    },
  )
  await check(
    'a withdrawn update is gone from the count, and only its own participant can withdraw it',
    async () => {
      const socket = await connect()
      await join(socket)
      const file = updateFile(known(), { manifestDigest, examples: 3, firstValue: 4e-4 })
      const digest = sha256(file)
      expectThat((await sendWhole(socket, file)).ok === true, 'not accepted')
      const before = (await json(`/api/rooms/${room}/status`)).contributions
      const stranger = await connect()
      await join(stranger)
      const found = await ask(stranger, 'withdraw', { digest })
      expectThat(found.ok === false, found)
      const withdrawn = await ask(socket, 'withdraw', { digest })
      expectThat(withdrawn.ok === true && withdrawn.digest === digest && withdrawn.erased === true, withdrawn)
      const after = (await json(`/api/rooms/${room}/status`)).contributions
      expectThat(after === before - 1, { before, after })
    },
  )
  await check('the audit log is JSON lines', async () => {
    const lines = (await (await fetch(url(`/api/rooms/${room}/audit`))).text()).trimEnd().split('\n')
    for (const line of lines) JSON.parse(line)
    expectThat(lines.length > 0, lines)
  })
  await check('published versions have the files and digests they name', async () => {
    for (const version of (await json(`/api/rooms/${room}/versions`)).versions) {
      if (version.retired) continue
      for (const { name, bytes, sha256: expected } of version.files) {
        const file = Buffer.from(
          await (await fetch(url(`/api/rooms/${room}/versions/${version.version}/${name}`))).arrayBuffer(),
        )
        expectThat(file.length === bytes && sha256(file) === expected, { version: version.version, name })
      }
    }
  })
  await check('a message over the limit closes its connection and no other', async () => {
    const big = await connect()
    const other = await connect()
    const closed = new Promise<boolean>((resolve) => big.once('disconnect', () => resolve(true)))
    big.emit('chunk', { offset: 0, data: Buffer.alloc(600_000) }, () => undefined)
    const found = await Promise.race([
      closed,
      new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS, false).unref()),
    ])
    expectThat(found === true && other.connected, found)
    expectThat((await json('/healthz')).ok === true, 'not healthy')
  })

  outside.disconnect()
  return outside.results
}
