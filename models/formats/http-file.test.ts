/** A real HTTP server, good and bad: what is read is the file's bytes, or a named error. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sha256Hex } from '../sha256.ts'
import { fixtureBytes } from '../testing/fixtures.ts'
import { integers } from '../testing/normals.ts'
import { blobSource, wholeFile } from './byte-source.ts'
import { type CacheWriter, cachedFile, type FileCache, type KnownFile } from './file-cache.ts'
import { openGguf } from './gguf.ts'
import { HttpFile } from './http-file.ts'

/** Longer than what is read on opening. */
const FILE = Uint8Array.from(integers(300_000, 1, 256))
const QUICK = { retryDelayMs: 1, stallMs: 300 }

type Behaviour = (request: IncomingMessage, response: ServerResponse, count: number) => void

let behave: Behaviour
let requests: (string | undefined)[]
let server: ReturnType<typeof createServer>
let url: string

beforeEach(async () => {
  requests = []
  server = createServer((request, response) => {
    requests.push(request.headers.range)
    behave(request, response, requests.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`
})

afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const rangeOf = (request: IncomingMessage, bytes: number) => {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')!
  return { from: Number(from), to: to === '' ? bytes - 1 : Math.min(Number(to), bytes - 1) }
}

const ranged =
  (file: Uint8Array = FILE, headers: Record<string, string> = { ETag: '"1"' }): Behaviour =>
  (request, response) => {
    const { from, to } = rangeOf(request, file.length)
    response.writeHead(206, {
      'Content-Range': `bytes ${from}-${to}/${file.length}`,
      'Content-Length': to - from + 1,
      ...headers,
    })
    response.end(file.subarray(from, to + 1))
  }

const whole =
  (file: Uint8Array = FILE, headers: Record<string, string | number> = {}): Behaviour =>
  (_, response) => {
    response.writeHead(200, { 'Content-Length': file.length, ETag: '"1"', ...headers })
    response.end(file)
  }

/** A whole answer that breaks off. */
const cut =
  (good: Behaviour, bytes: number): Behaviour =>
  (request, response) => {
    const { end } = response
    response.end = ((body: Uint8Array) => {
      response.write(body.subarray(0, bytes), () => response.destroy())
      return response
    }) as typeof end
    good(request, response, 0)
  }

const failing =
  (status: number): Behaviour =>
  (_, response) => {
    response.writeHead(status)
    response.end()
  }

/** The first answers are these, the last of them stays. */
const inTurn =
  (...behaviours: Behaviour[]): Behaviour =>
  (request, response, count) =>
    behaviours[Math.min(count, behaviours.length) - 1](request, response, count)

class MemoryCache implements FileCache {
  readonly files = new Map<string, Uint8Array>()
  readonly notes = new Map<string, KnownFile>()
  dropped = 0

  async find(sha256: string) {
    const file = this.files.get(sha256)
    return file && wholeFile(file)
  }

  async create(): Promise<CacheWriter> {
    let chunks: Uint8Array[] = []
    return {
      append: async (chunk) => {
        chunks.push(chunk.slice())
      },
      restart: async () => {
        chunks = []
      },
      keep: async (sha256) => {
        const file = new Uint8Array(Buffer.concat(chunks))
        this.files.set(sha256, file)
        return wholeFile(file)
      },
      drop: async () => {
        this.dropped++
      },
    }
  }

  recall = async (address: string) => this.notes.get(address)

  async remember(address: string, known: KnownFile) {
    this.notes.set(address, known)
  }
}

const code = (expected: string, message = /./) =>
  expect.objectContaining({ code: expected, message: expect.stringMatching(message) })

describe('pieces of a file', () => {
  it('are had by range, and no more than them', async () => {
    behave = ranged()
    const file = await HttpFile.open(url, QUICK)
    expect([file.bytes, file.ranges]).toEqual([FILE.length, true])
    expect(await file.read(10, 100)).toEqual(FILE.subarray(10, 110))
    expect(await file.read(200_000, 1_000)).toEqual(FILE.subarray(200_000, 201_000))
    expect(await file.read(FILE.length - 5, 5)).toEqual(FILE.subarray(-5))
    expect(requests).toEqual(['bytes=0-65535', 'bytes=200000-200999', 'bytes=299995-299999'])
    await expect(file.read(FILE.length - 5, 6)).rejects.toThrow(RangeError)
  })

  it('are had from one answer where a server gives no ranges', async () => {
    behave = whole()
    const file = await HttpFile.open(url, QUICK)
    expect(file.ranges).toBe(false)
    for (const at of [5, 70_000, 200_000, 299_000]) {
      expect(await file.read(at, 1_000)).toEqual(FILE.subarray(at, at + 1_000))
    }
    expect(requests).toHaveLength(1)
    expect(await file.read(100_000, 10)).toEqual(FILE.subarray(100_000, 100_010))
    expect(requests).toHaveLength(2)
    for (let i = 0; i < 7; i++) await file.read(100_000, 10)
    await expect(file.read(100_000, 10)).rejects.toEqual(code('download/no-ranges', /name the file/))
    await file.close()
  })

  it('of a GGUF file: a header and tensors, by few requests', async () => {
    const bytes = fixtureBytes('gguf/nano-mixed.gguf')
    behave = ranged(bytes)
    const gguf = await openGguf(await HttpFile.open(url, QUICK))
    const same = await openGguf(wholeFile(bytes))
    for (const name of same.tensors.keys()) expect(await gguf.read(name)).toEqual(await same.read(name))
  })

  it('come after connections that broke, stalled or were refused for now', async () => {
    const stall: Behaviour = (_, response) => {
      response.writeHead(206, { 'Content-Range': `bytes 0-65535/${FILE.length}`, ETag: '"1"' })
      response.write('x')
    }
    behave = inTurn(failing(503), stall, cut(ranged(), 100), (request) => request.socket.destroy(), ranged())
    const file = await HttpFile.open(url, QUICK)
    expect(requests).toHaveLength(5)
    behave = inTurn(...Array(5).fill(failing(429)), cut(ranged(), 100), ranged())
    expect(await file.read(100_000, 50_000)).toEqual(FILE.subarray(100_000, 150_000))
  })

  it('an empty file is a file', async () => {
    behave = (_, response) => {
      response.writeHead(416, { 'Content-Range': 'bytes */0' })
      response.end()
    }
    expect((await HttpFile.open(url, QUICK)).bytes).toBe(0)
  })
})

describe('servers that cannot be believed', () => {
  it.each<[string, Behaviour, string, RegExp]>([
    ['nothing there', failing(404), 'download/missing', /404/],
    ['not open', failing(403), 'download/denied', /account/],
    ['a fault', failing(400), 'download/bad-answer', /400/],
    ['a fault that stays', failing(500), 'download/broken', /5 attempts.*500/],
    ['a connection that always breaks', cut(ranged(), 10), 'download/broken', /5 attempts/],
    [
      'another range than asked for',
      (_, response) => {
        response.writeHead(206, { 'Content-Range': 'bytes 5-65540/300000' })
        response.end(new Uint8Array(65_536))
      },
      'download/bad-answer',
      /5 to 65540 where 0 to 65535/,
    ],
    [
      'a part without saying which',
      (_, response) => {
        response.writeHead(206)
        response.end('abc')
      },
      'download/bad-answer',
      /Content-Range null/,
    ],
    [
      'a range outside its own file',
      (_, response) => {
        response.writeHead(206, { 'Content-Range': 'bytes 0-65535/10' })
        response.end('abc')
      },
      'download/bad-answer',
      /Content-Range/,
    ],
    [
      'a file of petabytes that ends at once',
      (_, response) => {
        response.writeHead(206, { 'Content-Range': 'bytes 0-65535/999999999999999', 'Content-Length': 3 })
        response.end('abc')
      },
      'download/broken',
      /ended early/,
    ],
  ])('%s', async (_, behaviour, expected, message) => {
    behave = behaviour
    await expect(HttpFile.open(url, QUICK)).rejects.toEqual(code(expected, message))
  })

  it('no server at all', async () => {
    await expect(HttpFile.open('http://127.0.0.1:9/x', QUICK)).rejects.toEqual(code('download/broken'))
  })

  it('a file that changes between requests', async () => {
    behave = ranged()
    const file = await HttpFile.open(url, QUICK)
    behave = ranged(FILE, { ETag: '"2"' })
    await expect(file.read(100_000, 10)).rejects.toEqual(code('file/changed', /open it again/))
    behave = ranged(FILE.subarray(1))
    await expect(file.read(100_000, 10)).rejects.toEqual(code('file/changed'))
  })

  it('a file whose length is not said cannot be read in pieces', async () => {
    behave = (_, response) => {
      response.writeHead(200)
      response.end(FILE)
    }
    const file = await HttpFile.open(url, QUICK)
    await expect(openGguf(file)).rejects.toEqual(code('download/no-length'))
    await file.close()
  })

  it('a person who stops waiting', async () => {
    const stop = new AbortController()
    behave = () => stop.abort()
    await expect(HttpFile.open(url, { ...QUICK, signal: stop.signal })).rejects.toMatchObject({
      name: 'AbortError',
    })
    expect(requests).toHaveLength(1)
  })
})

describe('a file brought into a cache', () => {
  const digest = sha256Hex(FILE)

  it('is downloaded once: found by its digest, or by what the address held', async () => {
    behave = ranged()
    const cache = new MemoryCache()
    const progress: number[] = []
    const first = await cachedFile({ url }, cache, QUICK, ({ bytes, totalBytes }) => {
      expect(totalBytes).toBe(FILE.length)
      progress.push(bytes)
    })
    expect([first.sha256, first.downloaded]).toEqual([digest, true])
    expect(progress.at(-1)).toBe(FILE.length)
    expect(await first.file.read(0, FILE.length)).toEqual(FILE)
    const asked = requests.length
    const second = await cachedFile({ url }, cache, QUICK)
    expect([second.sha256, second.downloaded, requests.length]).toEqual([digest, false, asked + 1])
    const third = await cachedFile({ url: 'http://127.0.0.1:9/', sha256: digest }, cache, QUICK)
    expect([third.downloaded, requests.length]).toEqual([false, asked + 1])
    behave = ranged(FILE.subarray(0, 200_000), { ETag: '"2"' })
    expect(await cachedFile({ url }, cache, QUICK)).toMatchObject({
      downloaded: true,
      file: { bytes: 200_000 },
    })
  })

  it.each<[string, Behaviour, (string | undefined)[]]>([
    [
      'where it broke, with ranges',
      inTurn(ranged(), cut(ranged(), 100_000), ranged()),
      ['bytes=0-65535', 'bytes=0-', expect.stringMatching(/^bytes=[1-9]\d*-$/)],
    ],
    ['from its start without ranges', inTurn(cut(whole(), 100_000), whole()), ['bytes=0-65535', 'bytes=0-']],
    [
      'from its start where the version has no name',
      inTurn(ranged(FILE, {}), cut(ranged(FILE, {}), 100_000), ranged(FILE, {})),
      ['bytes=0-65535', 'bytes=0-', 'bytes=0-'],
    ],
    [
      'of unknown length',
      (_, response) => {
        response.writeHead(200)
        response.end(FILE)
      },
      ['bytes=0-65535'],
    ],
  ])('is taken up again %s', async (_, behaviour, ranges) => {
    behave = behaviour
    const { file, sha256 } = await cachedFile({ url, sha256: digest }, new MemoryCache(), QUICK)
    expect([sha256, file.bytes]).toEqual([digest, FILE.length])
    expect(requests).toEqual(ranges)
  })

  it.each<[string, Behaviour, object, string]>([
    ['another digest', ranged(), { sha256: sha256Hex(FILE.subarray(1)) }, 'download/wrong-digest'],
    ['another length', ranged(), { bytes: 5 }, 'download/wrong-length'],
    [
      'more than was expected, without saying so',
      (_, response) => {
        response.writeHead(200)
        response.end(FILE)
      },
      { bytes: 100_000 },
      'download/wrong-length',
    ],
    [
      'a version that changes on the way',
      inTurn(ranged(), ranged(FILE, { ETag: '"2"' })),
      {},
      'file/changed',
    ],
    ['a connection that never holds', inTurn(ranged(), cut(ranged(), 0)), {}, 'download/broken'],
  ])('%s: refused, and nothing kept', async (_, behaviour, wanted, expected) => {
    behave = behaviour
    const cache = new MemoryCache()
    await expect(cachedFile({ url, ...wanted }, cache, QUICK)).rejects.toEqual(code(expected))
    expect(cache.files.size + cache.notes.size).toBe(0)
  })
})

describe('a picked file', () => {
  it('is read in pieces', async () => {
    const bytes = fixtureBytes('gguf/nano.gguf')
    const source = blobSource(new Blob([bytes as Uint8Array<ArrayBuffer>]))
    const [found, same] = [await openGguf(source), await openGguf(wholeFile(bytes))]
    for (const name of same.tensors.keys()) expect(await found.read(name)).toEqual(await same.read(name))
  })

  it('that can no longer be read says so', async () => {
    const gone = { size: 100, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) }
    await expect(blobSource(gone as unknown as Blob).read(0, 10)).rejects.toEqual(code('file/changed'))
  })
})
