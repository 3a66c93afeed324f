/**
 * The kinds of rooms that a host opens: rounds, sequential, private, with a gate; and one that is deleted. Each is opened on the relay by its
 * host token as a copy of the manifest of a room that is there, so that the base model is one the relay has, driven by
 * docs/protocol.md alone, and closed.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'socket.io-client'
import { type Answer, type CheckResult, expectThat, Outside } from './outside.ts'
import { canonical, type Manifest, sha256, updateFile } from './update-file.ts'

export async function runRoomKinds(
  relayUrl: string,
  hostToken: string,
  roomName?: string,
): Promise<CheckResult[]> {
  const outside = new Outside(relayUrl)
  const { ask, check, connect, json, refused, until, url } = outside
  const host = async (path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(url(path), {
      method: 'POST',
      headers: { Authorization: `Bearer ${hostToken}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return response.json()
  }
  const overview = async (room: string): Promise<Answer> =>
    (
      await fetch(url(`/api/rooms/${room}/overview`), { headers: { Authorization: `Bearer ${hostToken}` } })
    ).json()
  const events = async (room: string): Promise<Answer[]> =>
    (await (await fetch(url(`/api/rooms/${room}/audit`))).text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  const versions = async (room: string): Promise<Answer[]> =>
    (await json(`/api/rooms/${room}/versions`)).versions

  const open = async (kind: string, changes: object): Promise<{ manifest: Manifest; digest: string }> => {
    const { rooms } = await json('/api/rooms')
    const like = rooms.find((one: Answer) => (roomName === undefined ? one.joinable : one.room === roomName))
    const copied: Answer = await json(`/api/rooms/${like?.room}/manifest`)
    delete copied.receiptKey
    copied.limits.updateBytes += 1024 // a start is named in the header
    const room = `${kind}-${randomBytes(4).toString('hex')}`
    const asked = { ...copied, title: kind, expiresAt: undefined, admission: undefined, ...changes, room }
    const opened = await host('/api/rooms', asked)
    expectThat(opened.room === room, opened)
    const manifest = await json(`/api/rooms/${room}/manifest`)
    return { manifest, digest: sha256(canonical(manifest)) }
  }
  const joined = async ({ room }: Manifest): Promise<Socket> => {
    const socket = await connect()
    const answer = await ask(socket, 'join', { protocolVersion: 1, room })
    expectThat(answer.ok === true, answer)
    return socket
  }
  const status = (room: string) => json(`/api/rooms/${room}/status`)
  const startOf = async (room: string, version: number): Promise<string | undefined> =>
    version === 0 ? undefined : (await versions(room)).find((one) => one.version === version)?.digest

  await check(
    'rounds: one update a round, from the version before; the last round closes the room',
    async () => {
      const mode = { kind: 'rounds', rounds: 2, quorum: 2, deadlineSeconds: 600, late: 'refuse' }
      const { manifest, digest } = await open('rounds', { mode, strategy: { id: 'fedit' }, publishEvery: 2 })
      const { room } = manifest
      const both = [await joined(manifest), await joined(manifest)]
      const first = updateFile(manifest, { manifestDigest: digest, firstValue: 9e-4 })
      for (let round = 1; round <= 2; round++) {
        const now = await until(
          () => status(room),
          (found) => found.round?.round === round && found.round.start === round - 1,
        )
        expectThat(now.round.rounds === 2 && now.round.quorum === 2 && now.round.received === 0, now)
        const start = await startOf(room, round - 1)
        expectThat((start === undefined) === (round === 1), start)
        for (const [k, socket] of both.entries()) {
          if (round === 2 && k === 0) {
            // Trained from what the round before started from.
            const late = updateFile(manifest, { manifestDigest: digest, firstValue: 8e-4 })
            await refused('update/late', outside.send(socket, manifest, late))
          }
          const file =
            round === 1 && k === 0
              ? first
              : updateFile(manifest, { manifestDigest: digest, firstValue: round * 1e-3 + k * 1e-4, start })
          const { ok, receipt } = await outside.send(socket, manifest, file)
          expectThat(ok === true && receipt.round === round, receipt)
        }
      }
      const found = await until(
        () => versions(room),
        (list) => list.length === 2,
      )
      const names = found.map((version: Answer) => version.files.map((file: Answer) => file.name))
      expectThat(
        names.every((list: string[]) => list.includes('start.safetensors')),
        names,
      )
      await refused('withdraw/too-late', ask(both[0]!, 'withdraw', { digest: sha256(first) }))
      expectThat((await status(room)).closed === true, await status(room))
      const closings = (await events(room)).filter(({ event }) => event === 'round-closed')
      expectThat(closings.length === 2 && closings.every(({ updates }) => updates.length === 2), closings)
    },
  )

  await check('sequential: each starts from the newest version, and none is waited for', async () => {
    const { manifest, digest } = await open('sequential', {
      mode: { kind: 'sequential' },
      strategy: { id: 'fedit' },
      publishEvery: 1,
    })
    const { room } = manifest
    const idle = await joined(manifest)
    for (let turn = 1; turn <= 2; turn++) {
      await until(
        () => status(room),
        (found) => found.round?.start === turn - 1,
      )
      const start = await startOf(room, turn - 1)
      const file = updateFile(manifest, { manifestDigest: digest, firstValue: turn * 1e-3, start })
      const answer = await outside.send(await joined(manifest), manifest, file)
      expectThat(answer.ok === true, answer)
    }
    await until(
      () => versions(room),
      (list) => list.length === 2,
    )
    expectThat(idle.connected, 'the one who sent nothing was dropped')
    const closed = await host(`/api/rooms/${room}/close`)
    expectThat(closed.closed === true, closed)
  })

  await check(
    'private: nothing before it closes, then one version, and nothing can be taken out',
    async () => {
      const { manifest: like } = await open('like', {})
      await host(`/api/rooms/${like.room}/close`)
      const { form: _, start: __, ...adapter } = like.adapter as Manifest['adapter'] & { start?: unknown }
      const { manifest, digest } = await open('private', {
        adapter: { ...adapter, form: 'ffa' },
        strategy: { id: 'ffa' },
        privacy: { epsilon: 8, delta: 1e-5, clip: 1 },
        limits: { ...like.limits, examples: 1 },
      })
      const { room } = manifest
      const files = [1e-3, 2e-3, 3e-3].map((firstValue) =>
        updateFile(manifest, { manifestDigest: digest, firstValue }),
      )
      const sockets: Socket[] = []
      for (const file of files) {
        const socket = await joined(manifest)
        sockets.push(socket)
        expectThat((await outside.send(socket, manifest, file)).ok === true, 'not accepted')
      }
      const claimed = updateFile(manifest, { manifestDigest: digest, examples: 2, firstValue: 4e-3 })
      await refused('update/examples', outside.send(await joined(manifest), manifest, claimed))
      const early = await host(`/api/rooms/${room}/publish`)
      expectThat(early.error?.code === 'host/at-close', early)
      const withdrawn = await ask(sockets[0]!, 'withdraw', { digest: sha256(files[0]!) })
      expectThat(withdrawn.ok === true, withdrawn)
      const { privacy, versions: published } = await status(room)
      expectThat(
        published === 0 && privacy.epsilon === 8 && privacy.delta === 1e-5 && privacy.sigma > 0,
        privacy,
      )
      await host(`/api/rooms/${room}/close`)
      const list = await until(
        () => versions(room),
        (found) => found.length === 1,
      )
      expectThat(list[0].contributions === 2, list)
      await refused('withdraw/too-late', ask(sockets[1]!, 'withdraw', { digest: sha256(files[1]!) }))
      const drawn = (await events(room)).filter(({ event }) => event === 'drawn')
      expectThat(drawn.length === 1 && drawn[0].privacy.sigma === privacy.sigma, drawn)
    },
  )

  await check(
    'a gate: nobody but the host sees a candidate; the better is published, the worse held back',
    async () => {
      const { manifest, digest } = await open('gate', { gate: { tolerance: 0.01 }, publishEvery: 1 })
      const { room } = manifest
      const contribute = async (firstValue: number) => {
        const file = updateFile(manifest, { manifestDigest: digest, firstValue })
        expectThat((await outside.send(await joined(manifest), manifest, file)).ok === true, 'not accepted')
      }
      const candidateOf = async (contributions: number): Promise<Answer> =>
        (
          await until(
            () => overview(room),
            (found) => found.candidate?.contributions === contributions,
          )
        ).candidate
      await contribute(1e-3)
      const first = await candidateOf(1)
      expectThat((await status(room)).candidate === 'waiting' && (await versions(room)).length === 0, first)
      const stranger = await fetch(url(`/api/rooms/${room}/candidate/${first.files[0].name}`))
      expectThat(stranger.status === 401, stranger.status)
      await host(`/api/rooms/${room}/candidate/${first.digest}/measured`, { baseLoss: 3, loss: 3.02 })
      expectThat((await status(room)).candidate === 'held' && (await versions(room)).length === 0, first)
      await contribute(2e-3)
      const second = await candidateOf(2)
      await host(`/api/rooms/${room}/candidate/${second.digest}/measured`, { baseLoss: 3, loss: 3.005 })
      const list = await until(
        () => versions(room),
        (found) => found.length === 1,
      )
      expectThat(list[0].digest === second.digest, list)
      const told = (await events(room)).map(({ event }) => event)
      expectThat(told.includes('held-back') && told.includes('published'), told)
      await host(`/api/rooms/${room}/close`)
    },
  )

  await check('deletion: all are told, nothing is answered, and the name stays taken', async () => {
    const { manifest, digest } = await open('deleted', {})
    const { room } = manifest
    const [sender, reader] = [await joined(manifest), await joined(manifest)]
    const file = updateFile(manifest, { manifestDigest: digest, firstValue: 1e-3 })
    expectThat((await outside.send(sender, manifest, file)).ok === true, 'not accepted')
    const told = [sender, reader].map(
      (socket) => new Promise<Answer>((resolve) => socket.once('refused', resolve)),
    )
    const remove = (token: string) =>
      fetch(url(`/api/rooms/${room}`), { method: 'DELETE', headers: { Authorization: `Bearer ${token}` } })
    expectThat((await remove('somebody')).status === 401, 'deleted for anybody')
    const last = (await events(room)).at(-1)
    const answer: Answer = await (await remove(hostToken)).json()
    expectThat(answer.room === room && answer.manifestDigest === digest, answer)
    expectThat(answer.log.hash === last?.hash && answer.log.lines === last?.sequence, answer)
    for (const found of await Promise.all(told)) expectThat(found.code === 'room/deleted', found)
    for (const path of ['manifest', 'status', 'versions', 'audit']) {
      const gone = await fetch(url(`/api/rooms/${room}/${path}`))
      expectThat(gone.status === 410 && (await gone.json()).error.code === 'room/deleted', path)
    }
    await refused('room/deleted', ask(await connect(), 'join', { protocolVersion: 1, room }))
    const { receiptKey: _, ...again } = manifest as Manifest & { receiptKey?: unknown }
    expectThat((await host('/api/rooms', again)).error?.code === 'room/exists', 'the name was given again')
  })

  outside.disconnect()
  return outside.results
}
