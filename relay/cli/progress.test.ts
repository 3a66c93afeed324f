import { describe, expect, it } from 'vitest'
import { parseNumber } from './args.ts'
import { bytes, duration, rate, table } from './format.ts'
import { lanAddresses } from './network.ts'
import { Progress } from './progress.ts'
import { formatRecord } from './relay-log.ts'

function watched(isTTY: boolean, columns = 200) {
  let text = ''
  let now = 0
  const stream = {
    isTTY,
    columns,
    write(part: string) {
      text += part
    },
  }
  const progress = new Progress(stream, 'Training', 40, 'steps', () => now)
  return {
    progress,
    at(ms: number) {
      now = ms
    },
    text: () => text,
  }
}

describe('progress', () => {
  it('on a terminal says how far, how fast and how long, in one line', () => {
    const { progress, at, text } = watched(true)
    at(2000)
    progress.update(10, 'loss 3.1')
    expect(text()).toBe(
      '\r\x1b[KTraining: █████░░░░░░░░░░░░░░░ 25 %, 10 of 40 steps, 5.0 steps/s, 6.0 s left, loss 3.1',
    )
    progress.update(11) // too soon to be drawn
    at(8000)
    progress.finish('900 tokens/s')
    progress.finish()
    expect(text().endsWith('loss 3.1\r\x1b[KTraining: done in 8.0 s, 900 tokens/s\n')).toBe(true)
  })

  it('never wraps a terminal line, which could not be taken back', () => {
    const { progress, text } = watched(true, 20)
    progress.update(1)
    expect(text().replace('\r\x1b[K', '')).toHaveLength(19)
  })

  it('in a log is quiet, but for a line now and then and the end', () => {
    const { progress, at, text } = watched(false)
    for (let ms = 100; ms <= 14_000; ms += 100) {
      at(ms)
      progress.update(5)
    }
    expect(text()).toBe('')
    at(16_000)
    progress.update(20)
    at(17_000)
    progress.finish()
    expect(text()).toBe('Training: 50 %, 20 of 40 steps, 1.3 steps/s, 16 s left\nTraining: done in 17 s\n')
  })
})

it('numbers are read as people write them', () => {
  expect(['1', '-2.5', '3e-3', '.5', '7.'].map(parseNumber)).toEqual([1, -2.5, 0.003, 0.5, 7])
  for (const text of ['', ' ', '0x10', '1,5', 'Infinity', 'NaN', '1 2', '--1'])
    expect(parseNumber(text)).toBeNaN()
})

it('numbers are written with their units', () => {
  expect([0, 999, 1000, 129_392, 2_600_000, 999_999_999].map(bytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '129 kB',
    '2.6 MB',
    '1.0 GB',
  ])
  expect([0.04, 9.94, 9.96, 59.6, 185, 7800].map(duration)).toEqual([
    '0.0 s',
    '9.9 s',
    '10 s',
    '1 min 0 s',
    '3 min 5 s',
    '2 h 10 min',
  ])
  expect([rate(0.254, 'steps'), rate(812.4, 'tokens'), rate(1_300_000, 'bytes')]).toEqual([
    '0.25 steps/s',
    '812 tokens/s',
    '1.3 MB/s',
  ])
  expect(
    table(
      [
        ['a', 'bb'],
        ['ccc', 'd'],
      ],
      [1],
    ),
  ).toBe('a    bb\nccc   d\n')
})

it('the relay log is a line a record, and cannot steer the terminal', () => {
  const record = { level: 40, time: 0, room: 'main', code: 'upload/offset', msg: 'refused\x1b[2J\nby' }
  expect(formatRecord(record)).toMatch(
    /^\d\d:\d\d:\d\d main: warning: refused \[2J by \(code upload\/offset\)$/,
  )
})

it('the LAN address is an ordinary interface before a virtual one', () => {
  const ipv4 = (address: string, internal = false) => ({
    address,
    family: 'IPv4' as const,
    internal,
    netmask: '255.255.255.0',
    mac: '',
    cidr: null,
  })
  const interfaces = {
    lo: [ipv4('127.0.0.1', true)],
    docker0: [ipv4('172.17.0.1')],
    wlan0: [ipv4('192.168.1.7'), { ...ipv4('fe80::1'), family: 'IPv6' as const, scopeid: 1 }],
    eth1: [ipv4('169.254.3.4')],
  }
  expect(lanAddresses(interfaces)).toEqual(['192.168.1.7', '172.17.0.1'])
})
