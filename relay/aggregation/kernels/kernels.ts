/**
 * The inner loops of merging, two doubles at a time in WebAssembly: V8 does them three to five times as fast as the
 * same loops in JavaScript. Every operation is one that IEEE 754 fixes, in an order that is written here, so the bits
 * are the same on every machine and in every engine; the tests hold them to plain loops.
 *
 * All addresses are bytes into the one memory, rows are `stride` bytes apart.
 */
import {
  assemble,
  type Code,
  F64,
  f64x2,
  I32,
  i32,
  repeat,
  storeDouble,
  V128,
  Variables,
} from './assembler.ts'

export interface Kernels {
  readonly memory: WebAssembly.Memory
  /**
   * out[r][c] = sum of x[k][r] y[k][c], k ascending, for r and c from 0 to 3. `x`, `y`: [count, 4]; `out`: four rows of
   * four.
   */
  tile(x: number, y: number, out: number, stride: number, count: number): void
  /**
   * Rotations (c0, s0) of rows 2 and 3, then (c1, s1) of rows 1 and 2, then (c2, s2) of rows 0 and 1, on 2 * `pairs`
   * columns: upper <- c upper - s lower, lower <- s upper + c lower.
   */
  rotateThree(
    row0: number,
    stride: number,
    pairs: number,
    c0: number,
    s0: number,
    c1: number,
    s1: number,
    c2: number,
    s2: number,
  ): void
  /**
   * Rows i to i + 3 of a symmetric matrix, columns 0 to 2 * `pairs` - 1: a <- a - (v_i w_j + w_i v_j), p_j <- p_j + the
   * sum over the rows of a x_i, and into `sums` for each row the sum over j of a x_j, even j and odd j apart until the
   * end. `i` is in bytes.
   */
  updateFourRows(
    row0: number,
    stride: number,
    pairs: number,
    v: number,
    w: number,
    x: number,
    p: number,
    i: number,
    sums: number,
  ): void
  /** Four rows q <- q - (q · v) v, over 2 * `pairs` columns; in q · v even and odd columns are apart until the end. */
  reflectFourRows(row0: number, stride: number, pairs: number, v: number): void
}

const BYTES = 16
const FOUR = [0, 1, 2, 3] as const
const { both, load, loadBoth, minus, plus, store, sum, times, zeros } = f64x2

function tile() {
  const at = new Variables()
  const [x, y, out, stride, count] = FIVE.map(() => at.parameter(I32)) as Five
  const sums = FOUR.map(() => [at.local(V128), at.local(V128)] as const)
  const [left, right, value] = [at.local(V128), at.local(V128), at.local(V128)]
  return at.body(
    repeat(
      count,
      left.set(load(y.get)),
      right.set(load(y.get, BYTES)),
      ...FOUR.flatMap((r) => [
        value.set(loadBoth(x.get, 8 * r)),
        sums[r]![0].set(plus(sums[r]![0].get, times(value.get, left.get))),
        sums[r]![1].set(plus(sums[r]![1].get, times(value.get, right.get))),
      ]),
      x.set(i32.plus(x.get, i32.constant(2 * BYTES))),
      y.set(i32.plus(y.get, i32.constant(2 * BYTES))),
    ),
    ...sums.flatMap(([first, second]) => [
      store(out.get, first.get),
      store(out.get, second.get, BYTES),
      out.set(i32.plus(out.get, stride.get)),
    ]),
  )
}

function rotateThree() {
  const at = new Variables()
  const [row0, stride, pairs] = [at.parameter(I32), at.parameter(I32), at.parameter(I32)]
  const angles = [0, 1, 2].map(() => [at.parameter(F64), at.parameter(F64)] as const)
  const rows = [row0, at.local(I32), at.local(I32), at.local(I32)] as const
  const [w, x, y, z] = [at.local(V128), at.local(V128), at.local(V128), at.local(V128)]
  const [[c0, s0], [c1, s1], [c2, s2]] = angles.map(() => [at.local(V128), at.local(V128)]) as [
    [Local, Local],
    [Local, Local],
    [Local, Local],
  ]
  const turned = at.local(V128)
  const lower = (s: Local, upper: Local, c: Local, value: Local) =>
    plus(times(s.get, upper.get), times(c.get, value.get))
  const upper = (c: Local, value: Local, s: Local, lower: Local) =>
    minus(times(c.get, value.get), times(s.get, lower.get))
  return at.body(
    ...angles.flatMap(([c, s], i) => {
      const [cosines, sines] = [
        [c0, s0],
        [c1, s1],
        [c2, s2],
      ][i]!
      return [cosines!.set(both(c.get)), sines!.set(both(s.get))]
    }),
    ...[1, 2, 3].map((r) => rows[r]!.set(i32.plus(rows[r - 1]!.get, stride.get))),
    repeat(
      pairs,
      ...[w, x, y, z].map((value, r) => value.set(load(rows[r]!.get))),
      store(rows[3].get, lower(s0, y, c0, z)),
      turned.set(upper(c0, y, s0, z)),
      store(rows[2].get, lower(s1, x, c1, turned)),
      turned.set(upper(c1, x, s1, turned)),
      store(rows[1].get, lower(s2, w, c2, turned)),
      store(rows[0].get, upper(c2, w, s2, turned)),
      ...rows.map(next),
    ),
  )
}

function updateFourRows() {
  const at = new Variables()
  const [row0, stride, pairs] = [at.parameter(I32), at.parameter(I32), at.parameter(I32)]
  const [v, w, x, p] = [at.parameter(I32), at.parameter(I32), at.parameter(I32), at.parameter(I32)]
  const [i, sums] = [at.parameter(I32), at.parameter(I32)]
  const rows = [row0, at.local(I32), at.local(I32), at.local(I32)] as const
  const vectors = [v, w, x] as const
  /** Entry i + r of v, w and x. */
  const own = vectors.map(() => FOUR.map(() => at.local(V128)))
  /** Entries j and j + 1 of them. */
  const [vj, wj, xj] = [at.local(V128), at.local(V128), at.local(V128)]
  const [vi, wi, xi] = own as [Local[], Local[], Local[]]
  const entries = FOUR.map(() => at.local(V128))
  const totals = FOUR.map(() => at.local(V128))
  const alongRows = FOUR.map((r) => times(entries[r]!.get, xi[r]!.get)).reduce(plus)
  return at.body(
    ...vectors.flatMap((vector, k) =>
      FOUR.map((r) => own[k]![r]!.set(loadBoth(i32.plus(vector.get, i.get), 8 * r))),
    ),
    ...[1, 2, 3].map((r) => rows[r]!.set(i32.plus(rows[r - 1]!.get, stride.get))),
    repeat(
      pairs,
      vj.set(load(v.get)),
      wj.set(load(w.get)),
      xj.set(load(x.get)),
      ...FOUR.flatMap((r) => {
        const change = plus(times(vi[r]!.get, wj.get), times(wi[r]!.get, vj.get))
        return [
          entries[r]!.set(minus(load(rows[r]!.get), change)),
          store(rows[r]!.get, entries[r]!.get),
          totals[r]!.set(plus(totals[r]!.get, times(entries[r]!.get, xj.get))),
        ]
      }),
      store(p.get, plus(load(p.get), alongRows)),
      ...[...rows, ...vectors, p].map(next),
    ),
    ...FOUR.map((r) => storeDouble(sums.get, sum(totals[r]!), 8 * r)),
  )
}

function reflectFourRows() {
  const at = new Variables()
  const [row0, stride, pairs, v] = [
    at.parameter(I32),
    at.parameter(I32),
    at.parameter(I32),
    at.parameter(I32),
  ]
  const rows = [row0, at.local(I32), at.local(I32), at.local(I32)] as const
  const again = [at.local(I32), at.local(I32), at.local(I32), at.local(I32)] as const
  const [vAgain, left] = [at.local(I32), at.local(I32)]
  const vj = at.local(V128)
  const totals = FOUR.map(() => at.local(V128))
  return at.body(
    ...[1, 2, 3].map((r) => rows[r]!.set(i32.plus(rows[r - 1]!.get, stride.get))),
    ...FOUR.map((r) => again[r]!.set(rows[r]!.get)),
    vAgain.set(v.get),
    left.set(pairs.get),
    ...totals.map((total) => total.set(zeros)),
    repeat(
      pairs,
      vj.set(load(v.get)),
      ...FOUR.map((r) => totals[r]!.set(plus(totals[r]!.get, times(load(rows[r]!.get), vj.get)))),
      ...[...rows, v].map(next),
    ),
    ...totals.map((total) => total.set(both(sum(total)))),
    repeat(
      left,
      vj.set(load(vAgain.get)),
      ...FOUR.map((r) => store(again[r]!.get, minus(load(again[r]!.get), times(totals[r]!.get, vj.get)))),
      ...[...again, vAgain].map(next),
    ),
  )
}

type Local = ReturnType<Variables['local']>
type Five = [Local, Local, Local, Local, Local]
const FIVE = [0, 1, 2, 3, 4]

/** To the next two doubles. */
const next = (address: Local): Code => address.set(i32.plus(address.get, i32.constant(BYTES)))

let instance: Kernels | undefined

/**
 * This thread's kernels, with a memory of at least so many bytes, which holds what its last user left. Growing it makes
 * earlier views of it useless: ask once, then work.
 */
export function kernels(bytes: number): Kernels {
  instance ??= new WebAssembly.Instance(
    new WebAssembly.Module(
      assemble({
        tile: tile(),
        rotateThree: rotateThree(),
        updateFourRows: updateFourRows(),
        reflectFourRows: reflectFourRows(),
      }),
    ),
  ).exports as unknown as Kernels
  const { memory } = instance
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES)
  if (missing > 0) memory.grow(missing)
  return instance
}

const PAGE_BYTES = 65_536
