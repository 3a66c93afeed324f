/**
 * Frozen weights that are used together (queries, keys and values; gate and up), one after another in one buffer: as one
 * matrix [sum of out, in] a single kernel multiplies them all, and each remains a matrix of its own.
 */
import { packedBytes } from '../formats/gguf-packed.ts'
import { type Matrix, PackedTensor } from './packed-tensor.ts'
import { BINDING_ALIGNMENT, PlanTensor, type Storage } from './plan-tensor.ts'

type Persistent = Extract<Storage, { kind: 'persistent' }>

interface Membership {
  readonly whole: Matrix
  readonly parts: readonly Matrix[]
}

const memberships = new WeakMap<Matrix, Membership>()

/** Their stack, where `tensors` are all of its parts in order. */
export function stackOf(tensors: readonly Matrix[]): Matrix | null {
  const found = memberships.get(tensors[0])
  const same = found?.parts.length === tensors.length && found.parts.every((part, i) => part === tensors[i])
  return same ? found.whole : null
}

/** What a matrix, or a list of numbers such as a bias, is stored in. */
const piecesOf = (matrix: Matrix): readonly PlanTensor[] =>
  matrix instanceof PackedTensor ? matrix.parts : [matrix]

/**
 * Whether one matrix can stand for all of them: of one type and width, parts at offsets that a kernel can bind, columns
 * of the product in whole vectors.
 */
export function stackable(matrices: readonly Matrix[]): boolean {
  if (matrices.length < 2) return false
  const [head] = matrices
  const rowsOf = ({ shape }: Matrix) => shape[0]
  const alike = matrices.every(
    (matrix) =>
      matrix.shape.length === head.shape.length &&
      matrix.shape[1] === head.shape[1] &&
      rowsOf(matrix) % 4 === 0 &&
      (matrix instanceof PackedTensor && head instanceof PackedTensor
        ? matrix.packing === head.packing
        : matrix instanceof PlanTensor && head instanceof PlanTensor && matrix.dtype === head.dtype) &&
      piecesOf(matrix).every(({ bytes }) => bytes % BINDING_ALIGNMENT === 0),
  )
  if (!alike || !(head instanceof PackedTensor)) return alike
  // Words that end in padding would leave a gap.
  const sum = matrices.reduce((total, matrix) => total + rowsOf(matrix), 0)
  const { codes, scales } = packedBytes(head.packing, sum * head.shape[1])
  const bytesOf = (piece: number) =>
    matrices.reduce((total, matrix) => total + (piecesOf(matrix)[piece]?.bytes ?? 0), 0)
  return bytesOf(0) === codes && bytesOf(1) === scales
}

/**
 * The parts anew, over storage of their stack's own. `move` copies what they held.
 *
 * @param create makes storage of so many bytes
 */
export function stack(
  matrices: readonly Matrix[],
  create: (bytes: number) => Persistent,
  move: (from: PlanTensor, to: PlanTensor) => void,
): readonly Matrix[] {
  const [head] = matrices
  const rows = matrices.reduce((sum, { shape }) => sum + shape[0], 0)
  /** Piece `index` (codes or scales) of the whole, and of each part. */
  const joined = piecesOf(head).map((_, index) => {
    const pieces = matrices.map((matrix) => piecesOf(matrix)[index])
    const storage = create(pieces.reduce((sum, { bytes }) => sum + bytes, 0))
    let offset = 0
    const parts = pieces.map((piece) => {
      const part = new PlanTensor(storage, piece.shape, piece.dtype, offset)
      move(piece, part)
      offset += piece.bytes
      return part
    })
    const elements = pieces.reduce((sum, piece) => sum + piece.elements, 0)
    const shape = head instanceof PackedTensor ? [elements] : [rows, ...head.shape.slice(1)]
    return { whole: new PlanTensor(storage, shape, pieces[0].dtype), parts }
  })
  const made = (shape: readonly number[], [codes, scales]: readonly PlanTensor[]): Matrix =>
    head instanceof PackedTensor ? new PackedTensor(head.packing, [shape[0], shape[1]], codes, scales) : codes
  const parts = matrices.map(({ shape }, i) =>
    made(
      shape,
      joined.map(({ parts }) => parts[i]),
    ),
  )
  const whole = made(
    [rows, ...head.shape.slice(1)],
    joined.map(({ whole }) => whole),
  )
  for (const part of parts) memberships.set(part, { whole, parts })
  return parts
}

/** The buffers a matrix lies in. */
export const buffersOf = (matrix: Matrix): GPUBuffer[] =>
  piecesOf(matrix).map(({ storage }) => {
    if (storage.kind !== 'persistent') throw new TypeError('a transient tensor has no buffer of its own')
    return storage.buffer
  })
