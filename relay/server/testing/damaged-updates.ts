/** Files that are almost updates, for fuzzing: bytes flipped, cut, inserted; header lengths and headers changed. */
import fc from 'fast-check'

/** May change the buffer it is given. */
export type Damage = (file: Buffer) => Buffer

/** Where in a file or a part of it: a share of its length. */
const share = fc.double({ min: 0, max: 0.999999, noNaN: true })
const at = (bytes: Buffer, where: number) => Math.floor(where * bytes.length)

/** Bytes of the header, or null if its length says more than the file holds. */
function headerBytesOf(file: Buffer): number | null {
  if (file.length < 8) return null
  const announced = file.readBigUInt64LE()
  return announced <= BigInt(file.length - 8) ? Number(announced) : null
}

/** Changes the header as text and writes its length anew, so that what comes after parsing is reached. */
const inHeader =
  (change: (text: string) => string): Damage =>
  (file) => {
    const headerBytes = headerBytesOf(file)
    if (headerBytes === null) return file
    const header = Buffer.from(change(file.subarray(8, 8 + headerBytes).toString('utf8')))
    const padded = Buffer.concat([header, Buffer.alloc((8 - (header.length % 8)) % 8, ' ')])
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(padded.length))
    return Buffer.concat([length, padded, file.subarray(8 + headerBytes)])
  }

/** Changes the tensors' bytes in place. */
const inTensors =
  (change: (bytes: Buffer) => void): Damage =>
  (file) => {
    const headerBytes = headerBytesOf(file)
    if (headerBytes !== null) change(file.subarray(8 + headerBytes))
    return file
  }

const flip = (bytes: Buffer, where: number, bits: number) => {
  if (bytes.length > 0) bytes[at(bytes, where)]! ^= bits
}
const anyBits = fc.integer({ min: 1, max: 255 })
const flipAnywhere = fc.tuple(share, anyBits).map(([where, bits]): Damage => {
  return (file) => {
    flip(file, where, bits)
    return file
  }
})
const flipTensors = fc
  .tuple(share, anyBits)
  .map(([where, bits]) => inTensors((bytes) => flip(bytes, where, bits)))

/** The scales come first, so this hits one of them where `word` is small. */
const oddFloat = fc
  .tuple(
    fc.nat(12),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -1, 0, -0, 1e-45, 0.02, 0.063, 0.07, 3e38),
  )
  .map(([word, value]) =>
    inTensors((bytes) => {
      if (bytes.length >= 4 * word + 4) bytes.writeFloatLE(value, 4 * word)
    }),
  )

const cut = share.map(
  (where): Damage =>
    (file) =>
      file.subarray(0, at(file, where)),
)
const insert = fc
  .tuple(share, fc.uint8Array({ minLength: 1, maxLength: 200 }))
  .map(([where, extra]): Damage => {
    return (file) => Buffer.concat([file.subarray(0, at(file, where)), extra, file.subarray(at(file, where))])
  })

const anyLength = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 1n, 2n, 8n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
)
const setHeaderLength = anyLength.map((length): Damage => {
  return (file) => {
    if (file.length >= 8) file.writeBigUInt64LE(length)
    return file
  }
})
const shiftHeaderLength = fc.integer({ min: -64, max: 64 }).map((by): Damage => {
  return (file) => {
    if (file.length >= 8) file.writeBigUInt64LE(BigInt.asUintN(64, file.readBigUInt64LE() + BigInt(by)))
    return file
  }
})

const headerParts = ['"I8"', '"F32"', 'lora_A', 'lora_B', '.scale', '"shape"', 'data_offsets', '}', ':']
const headerInserts = [
  '"F32"',
  '"I64"',
  '"BOOL"',
  '"F8_E4M3"',
  'lora_A',
  '__proto__',
  '',
  '{',
  '"x":{"dtype":"I8","shape":[0],"data_offsets":[0,0]},"x',
]
const replaceText = fc
  .tuple(
    fc.constantFrom(...headerParts),
    fc.oneof(fc.constantFrom(...headerInserts), fc.string({ maxLength: 10 })),
  )
  .map(([from, to]) => inHeader((text) => text.replace(from, () => to)))

/** As the update codec writes it, and what may not stand there (or may: an example count up to 1,000). */
const metadata: readonly (readonly [RegExp, readonly string[]])[] = [
  [
    /"examples":"[^"]*"/,
    ['1', '7', '1000', '1001', '0', '-1', '1e3', '5.5', ' 5', '05', '', '__proto__', '9'.repeat(40)].map(
      (count) => `"examples":"${count}"`,
    ),
  ],
  [/,"examples":"[^"]*"/, ['', ',"examples":5', ',"notes":"my diary"']],
  [/"version":"[^"]*"/, ['"version":"2"', '"version":1', '"version":""']],
  [/"manifest":"[^"]*"/, [`"manifest":"${'0'.repeat(64)}"`, '"manifest":""', '"manifest":null']],
  [/"__metadata__":/, ['"__metadata__":[],"x":', '"metadata":']],
]
const changeMetadata = fc
  .constantFrom(...metadata)
  .chain(([from, texts]) => fc.constantFrom(...texts).map((to) => inHeader((text) => text.replace(from, to))))

const oddNumbers = ['0', '1', '2', '24', '1e308', '-1', '0.5', '9007199254740993', 'null', '[]', '"1"']
const changeNumber = fc
  .tuple(fc.nat(40), fc.oneof(fc.integer().map(String), fc.constantFrom(...oddNumbers)))
  .map(([which, to]) => {
    return inHeader((text) => {
      let seen = 0
      return text.replace(/(?<=[[,])\d+/g, (number) => (seen++ === which ? to : number))
    })
  })
/** A shape of as many values. */
const transpose = fc.nat(8).map((which) =>
  inHeader((text) => {
    let seen = 0
    return text.replace(/\[(\d+),(\d+)\](?=,"data)/g, (shape, rows, columns) =>
      seen++ === which ? `[${columns},${rows}]` : shape,
    )
  }),
)

const damage = fc.oneof(
  flipAnywhere,
  { weight: 2, arbitrary: flipTensors },
  { weight: 2, arbitrary: oddFloat },
  cut,
  insert,
  setHeaderLength,
  shiftHeaderLength,
  { weight: 2, arbitrary: replaceText },
  { weight: 3, arbitrary: changeMetadata },
  { weight: 2, arbitrary: changeNumber },
  transpose,
)

/** Mostly one thing wrong, so that every check is met, sometimes several. */
export const damages: fc.Arbitrary<Damage> = fc
  .oneof(
    { weight: 3, arbitrary: fc.tuple(damage) },
    { weight: 1, arbitrary: fc.array(damage, { minLength: 2, maxLength: 4 }) },
  )
  .map(
    (list): Damage =>
      (file) =>
        list.reduce((damaged, one) => one(damaged), file),
  )
