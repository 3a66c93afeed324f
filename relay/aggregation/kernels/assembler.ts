/**
 * Writes WebAssembly modules of a few functions over one memory: the part of the binary format that kernels.ts needs
 * (https://webassembly.github.io/spec/core/binary/). A compiler in the repository would be more to trust than these
 * lines, and a binary in it could not be read.
 *
 * An expression is the bytes that leave its value on the stack; a statement leaves nothing.
 */

export type Code = readonly number[]

export const I32 = 0x7f
export const F64 = 0x7c
/** Two doubles, side by side. */
export const V128 = 0x7b
export type ValueType = typeof I32 | typeof F64 | typeof V128

export interface Variable {
  readonly get: Code
  set(value: Code): Code
}

export interface FunctionBody {
  readonly parameters: readonly ValueType[]
  readonly locals: readonly ValueType[]
  readonly code: Code
}

/** A function's parameters and locals get their places in the order in which they are asked for, parameters first. */
export class Variables {
  readonly parameters: ValueType[] = []
  readonly locals: ValueType[] = []

  parameter(type: ValueType): Variable {
    if (this.locals.length > 0) throw new Error('parameters come before locals')
    this.parameters.push(type)
    return variable(this.parameters.length - 1)
  }

  local(type: ValueType): Variable {
    this.locals.push(type)
    return variable(this.parameters.length + this.locals.length - 1)
  }

  body(...code: readonly Code[]): FunctionBody {
    return { parameters: this.parameters, locals: this.locals, code: code.flat() }
  }
}

function variable(place: number): Variable {
  return { get: [0x20, ...unsigned(place)], set: (value) => [...value, 0x21, ...unsigned(place)] }
}

export const i32 = {
  constant: (value: number): Code => [0x41, ...signed(value)],
  plus: (x: Code, y: Code): Code => [...x, ...y, 0x6a],
}

const ALIGNED_TO_8 = 3
const at = (offset: number) => [ALIGNED_TO_8, ...unsigned(offset)]

/** Each of both doubles by itself, as IEEE 754 has it: no fused or relaxed operation, whose bits machines may choose. */
export const f64x2 = {
  zeros: [0xfd, 0x0c, ...new Array<number>(16).fill(0)] as Code,
  both: (x: Code): Code => [...x, 0xfd, 0x14],
  load: (address: Code, offset = 0): Code => [...address, 0xfd, 0x00, ...at(offset)],
  /** One double, twice. */
  loadBoth: (address: Code, offset = 0): Code => [...address, 0xfd, 0x0a, ...at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [...address, ...value, 0xfd, 0x0b, ...at(offset)],
  plus: (x: Code, y: Code): Code => [...x, ...y, 0xfd, 0xf0, 0x01],
  minus: (x: Code, y: Code): Code => [...x, ...y, 0xfd, 0xf1, 0x01],
  times: (x: Code, y: Code): Code => [...x, ...y, 0xfd, 0xf2, 0x01],
  /** The first of the two plus the second, a double. */
  sum: (x: Variable): Code => [...x.get, 0xfd, 0x21, 0, ...x.get, 0xfd, 0x21, 1, 0xa0],
}

export const storeDouble = (address: Code, value: Code, offset = 0): Code => [
  ...address,
  ...value,
  0x39,
  ...at(offset),
]

/** So many times; `count` counts down to zero and may be zero. */
export function repeat(count: Variable, ...code: readonly Code[]): Code {
  const VOID = 0x40
  const isZero = [...count.get, 0x45]
  const minusOne = count.set(i32.plus(count.get, i32.constant(-1)))
  const body = [...isZero, 0x0d, 1, ...code.flat(), ...minusOne, 0x0c, 0] // br_if out, br again
  return [0x02, VOID, 0x03, VOID, ...body, 0x0b, 0x0b]
}

/** A module with a memory of one page, exported as `memory`, and these functions under their names. */
export function assemble(functions: Readonly<Record<string, FunctionBody>>): Uint8Array<ArrayBuffer> {
  const bodies = Object.values(functions)
  const types = bodies.map(({ parameters }) => [0x60, ...list([...parameters]), 0x00])
  const indices = bodies.map((_, i) => unsigned(i))
  const exports = Object.keys(functions).map((name, i) => [...text(name), 0x00, ...unsigned(i)])
  const code = bodies.map(({ locals, code }) => {
    const body = [...vector(locals.map((type) => [1, type])), ...code, 0x0b]
    return [...unsigned(body.length), ...body]
  })
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d], // \0asm
    ...[0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(3, vector(indices)),
    ...section(5, vector([[0x00, 1]])),
    ...section(7, vector([[...text('memory'), 0x02, 0x00], ...exports])),
    ...section(10, vector(code)),
  ])
}

const section = (id: number, content: Code): Code => [id, ...list(content)]
const list = (bytes: Code): Code => [...unsigned(bytes.length), ...bytes]
const vector = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()]
const text = (name: string): Code => list([...new TextEncoder().encode(name)])

/** LEB128 */
function unsigned(value: number): number[] {
  const low = value & 0x7f
  const rest = value >>> 7
  return rest === 0 ? [low] : [low | 0x80, ...unsigned(rest)]
}

/** LEB128 in two's complement */
function signed(value: number): number[] {
  const low = value & 0x7f
  const rest = value >> 7
  const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
  return isLast ? [low] : [low | 0x80, ...signed(rest)]
}
