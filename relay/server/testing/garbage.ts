/** Bytes that no well-behaved client sends, for fuzzing: HTTP requests, WebSocket frames, socket.io packets. */
import fc from 'fast-check'

/** Almost requests; `paths` are good ones of the relay under test. */
export function httpRequests(paths: readonly string[]): fc.Arbitrary<Uint8Array> {
  const token = fc.stringMatching(/^[!#-'*+.^_`|~0-9A-Za-z-]{1,20}$/)
  const anyText = fc.string({ unit: 'binary', maxLength: 60 })
  const path = fc.oneof(
    fc.constantFrom(...paths, '*', 'http://[::1/', '/socket.io/?EIO=4&transport=polling&sid=x'),
    fc
      .array(fc.oneof(anyText, fc.constantFrom('..', '%2e%2e', '%00', '__proto__', '%ff', '\\')))
      .map((parts) => `/${parts.join('/')}`),
  )
  const header = fc.tuple(
    fc.oneof(
      fc.constantFrom(
        'Host',
        'Connection',
        'Upgrade',
        'Expect',
        'Origin',
        'Range',
        'If-Range',
        'If-None-Match',
        'Accept-Encoding',
        'Content-Length',
        'Transfer-Encoding',
        'Content-Type',
        'Authorization',
        'Sec-WebSocket-Key',
        'Sec-WebSocket-Version',
        'Sec-WebSocket-Protocol',
      ),
      token,
      anyText,
    ),
    fc.oneof(
      fc.constantFrom(
        'x',
        'close',
        'upgrade',
        'websocket',
        'chunked',
        '100-continue',
        'bytes=0-1,3-',
        'bytes=-0',
        'bytes=9-1',
        '*',
        'br;q=0.1, gzip;q=9',
        '99999999999999999999',
        '-1',
        'application/json',
        'AAAAAAAAAAAAAAAAAAAAAA==',
        '13',
        ', ,',
      ),
      anyText,
    ),
  )
  const request = fc
    .record({
      method: fc.oneof(
        fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'PUT', 'OPTIONS', 'CONNECT', 'TRACE', 'PRI'),
        token,
      ),
      path,
      version: fc.constantFrom('1.1', '1.1', '1.1', '1.0', '0.9', '2.0', '9'),
      headers: fc.array(header, { maxLength: 8 }),
      hasHost: fc.boolean(),
      body: fc.oneof(fc.constant(''), anyText, fc.json()),
    })
    .map(({ method, path, version, headers, hasHost, body }) =>
      Buffer.from(
        [
          `${method} ${path} HTTP/${version}`,
          ...(hasHost ? ['Host: x'] : []),
          ...headers.map(([name, value]) => `${name}: ${value}`),
          '',
          body,
        ].join('\r\n'),
      ),
    )
  return fc.oneof(
    { weight: 6, arbitrary: request },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3000 }) },
    { weight: 1, arbitrary: fc.constant(Buffer.from(`GET /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`)) },
  )
}

/** One WebSocket frame with its head, mask and length as likely wrong as right. */
export function webSocketFrames(): fc.Arbitrary<Uint8Array> {
  return fc
    .record({
      head: fc.oneof(
        fc.constantFrom(0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0x8a),
        fc.integer({ max: 255, min: 0 }),
      ),
      isMasked: fc.boolean(),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom('40', '42["join",{}]', '1', '2probe', '5', 'b4AAAA').map((text) => Buffer.from(text)),
      ),
      /** Announced instead of the payload's own length. */
      lie: fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { freq: 2 }),
    })
    .map(({ head, isMasked, payload, lie }) => {
      const start = Buffer.alloc(isMasked ? 14 : 10)
      start[0] = head
      start[1] = (isMasked ? 0x80 : 0) | 127
      start.writeBigUInt64BE(lie ?? BigInt(payload.length), 2)
      return Buffer.concat([start, payload]) // the mask is zeros
    })
}

/** What an engine.io message may hold: socket.io packets (text) and their attachments (binary). */
export function socketIoPackets(): fc.Arbitrary<string | Uint8Array> {
  const key = fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'a')
  const placeholder = fc.record({
    _placeholder: fc.constantFrom(true, 1, 'x'),
    num: fc.oneof(fc.integer(), fc.constantFrom(-1, 0.5, 1e308, '0', '__proto__', null)),
  })
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 4 }),
    fc.dictionary(key, fc.jsonValue({ maxDepth: 2 })),
    placeholder,
    fc.record({ offset: fc.nat(), data: placeholder }),
  )
  const json = fc.oneof(
    { weight: 6, arbitrary: fc.array(value, { maxLength: 4 }).map((values) => JSON.stringify(values)) },
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.constantFrom('join', 'begin', 'chunk', 'commit', 'error', 'disconnect', '__proto__'), value)
        .map((values) => JSON.stringify(values)),
    },
    {
      weight: 1,
      arbitrary: fc
        .record({ depth: fc.integer({ min: 1, max: 250_000 }), open: fc.constantFrom('[', '{"a":') })
        .map(({ depth, open }) => {
          const close = open === '[' ? ']' : '}'
          return `["join",${open.repeat(depth / open.length)}1${close.repeat(depth / open.length)}]`
        }),
    },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 1, max: 500_000 }).map((n) => `["join","${'x'.repeat(n)}"]`),
    },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  )
  const packet = fc
    .record({
      type: fc.oneof(
        fc.constantFrom('2', '2', '5', '5', '3', '6', '0', '1', '4'),
        fc.string({ maxLength: 2 }),
      ),
      attachments: fc.option(
        fc.oneof(fc.integer({ min: -1, max: 12 }), fc.constantFrom('1e3', '', '99999999')),
      ),
      namespace: fc.constantFrom('', '', '', '/,', '/admin,', '/__proto__,', '/'),
      id: fc.oneof(fc.constantFrom('', '7', '-1', '99999999999999999999'), fc.nat().map(String)),
      json,
    })
    .map(({ type, attachments, namespace, id, json }) => {
      const count = attachments === null ? '' : `${attachments}-`
      return `${type}${count}${namespace}${id}${json}`
    })
  return fc.oneof({ weight: 4, arbitrary: packet }, { weight: 1, arbitrary: fc.uint8Array() })
}
