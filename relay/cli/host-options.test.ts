/** What `host` does with the options that only a relay on a network needs; one start of the program for each set. */
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect } from 'node:tls'
import { io } from 'socket.io-client'
import { expect, it } from 'vitest'
import { DEFAULT_ADDRESS_LIMITS } from '../server/address-limits.ts'
import { openWebSocket } from '../server/testing/raw.ts'
import { temporaryFolder } from '../server/testing/round.ts'
import { selfSignedCertificate } from './certificate.ts'
import { host, run } from './testing/run-cli.ts'

it('--public-url, --trust-proxy and the limits by address reach the relay', async () => {
  await using folder = await temporaryFolder()
  const started = await host(
    ...['--data-dir', path.join(folder.path, 'data'), '--public-url', 'https://learn.example.org'],
    ...['--trust-proxy', '--max-joins', '1', '--max-sockets', '2', '--disk-quota', '0.001'],
  )
  try {
    const { url, room } = started.answer
    const open = (headers: Record<string, string>) => openWebSocket(url, headers)
    const origin = await open({ Origin: 'https://learn.example.org', 'X-Forwarded-For': '192.0.2.9' })
    expect(origin.status).toMatch(/ 101 /)
    const foreign = await open({ Origin: 'https://evil.example', 'X-Forwarded-For': '192.0.2.9' })
    expect(foreign.status).toMatch(/ 403 /)
    foreign.socket.destroy()

    const second = await open({ 'X-Forwarded-For': '192.0.2.9' })
    expect(second.status).toMatch(/ 101 /)
    const third = await open({ 'X-Forwarded-For': '192.0.2.9' })
    expect(third.status).toMatch(/ 503 /)
    for (const { socket } of [origin, second, third]) socket.destroy()

    const join = async (forwarded: string) => {
      const extraHeaders = { 'X-Forwarded-For': forwarded }
      const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false, extraHeaders })
      const answer = await socket.timeout(10_000).emitWithAck('join', { protocolVersion: 1, room })
      if (!answer.ok) return answer.code as string
      const begun = await socket
        .timeout(10_000)
        .emitWithAck('begin', { digest: '0'.repeat(64), bytes: answer.manifest.limits.updateBytes })
      socket.disconnect()
      return begun.code ?? 'begun'
    }
    expect(await join('192.0.2.1')).toBe('begun')
    expect(await join('192.0.2.1')).toBe('request/too-often')
    // Whatever an update takes, 20 of them do not fit a megabyte.
    const codes = []
    for (let k = 2; k < 22; k++) codes.push(await join(`192.0.2.${k}`))
    expect(new Set(codes)).toEqual(new Set(['begun', 'store/full']))
  } finally {
    await started.stop()
  }
}, 60_000)

it('--cert and --key are what it shows, and a file that is no certificate is named', async () => {
  await using folder = await temporaryFolder()
  const made = await selfSignedCertificate(path.join(folder.path, 'made'), ['192.0.2.44'])
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(folder.path, 'made', name))
  const data = ['--data-dir', path.join(folder.path, 'data')]
  const started = await host(...data, '--cert', cert!, '--key', key!)
  try {
    expect(started.answer.joinUrl).toMatch(/^https:/)
    const shown = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port: started.answer.port, host: '127.0.0.1', ca: made.cert }, () => {
        resolve(socket.getPeerX509Certificate()!.fingerprint256)
        socket.destroy()
      })
      socket.once('error', reject)
    })
    expect(shown).toBe(new X509Certificate(readFileSync(cert!)).fingerprint256)
  } finally {
    await started.stop()
  }
  writeFileSync(cert!, 'no certificate')
  const refused = await host(...data, '--cert', cert!, '--key', key!)
  expect(refused.answer.error).toMatchObject({
    code: 'tls/certificate',
    message: expect.stringContaining('cert.pem'),
  })
  expect((await refused.stop()).status).toBe(1)
}, 60_000)

it('how the room runs, who is let in and what counts become the manifest and the link', async () => {
  await using folder = await temporaryFolder()
  const text = path.join(folder.path, 'held-out.txt')
  writeFileSync(text, 'A text of the host.')
  const data = ['--data-dir', path.join(folder.path, 'data')]
  const open = async (...options: string[]) => {
    const started = await host(...data, ...options)
    try {
      const { url, room } = started.answer
      const manifest = await (await fetch(`${url}/api/rooms/${room}/manifest`)).json()
      return { manifest, answer: started.answer }
    } finally {
      await started.stop()
    }
  }
  const rounds = [
    '--mode',
    'rounds',
    '--rounds',
    '2',
    '--quorum',
    '4',
    '--deadline',
    '60',
    '--late',
    'refuse',
  ]
  expect((await open('--room', 'rounds', ...rounds)).manifest).toMatchObject({
    mode: { kind: 'rounds', rounds: 2, quorum: 4, deadlineSeconds: 60, late: 'refuse' },
    publishEvery: 4,
  })
  const decided = await open(
    ...['--room', 'decided', '--approve', '--gate', text, '--join-code', '7KQ4-M2XT', '--publish-every', '5'],
    ...['--strategy', 'trimmed-mean', '--trim', '0.25', '--clip', 'median', '--lambda', '1.5'],
  )
  expect(decided.manifest).toMatchObject({
    admission: 'approve',
    gate: { tolerance: 0 },
    publishEvery: 5,
    strategy: { id: 'trimmed-mean', trim: 0.25, clip: 'median', lambda: 1.5 },
  })
  const { joinUrl, hostToken, joinCode } = decided.answer
  expect(joinCode).toBe('7KQ4-M2XT')
  // The code stands where browsers send it to no server, and the host's token nowhere.
  expect(new URL(joinUrl).hash).toBe('#7KQ4-M2XT')
  expect(joinUrl).not.toContain(hostToken)
}, 60_000)

it('says the limits by address, which a class of 30 stays far below, as docs/hosting.md does', async () => {
  expect(DEFAULT_ADDRESS_LIMITS).toMatchObject({ sockets: 200, joinsPerMinute: 300 })
  const { stdout } = await run('host', '--help')
  const documented = readFileSync(new URL('../../docs/hosting.md', import.meta.url), 'utf8')
  for (const [option, value] of [
    ['--max-sockets', 200],
    ['--max-joins', 300],
    ['--disk-quota', 100],
  ] as const) {
    expect(stdout).toMatch(new RegExp(`${option} .*default ${value}$`, 'm'))
    expect(documented).toMatch(new RegExp(`\\| ${value}( GB)? \\| \`${option}\` \\|`))
  }
})
