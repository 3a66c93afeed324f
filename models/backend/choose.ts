/**
 * Which backend to run on, by measurement: every candidate that opens runs the same small piece of a training
 * step, and the quickest keeps the work. A name decides nothing: WebGPU on a software adapter is slower than
 * wasm on the same processor, and there is no reliable list of which adapters are software.
 *
 * The outcome is remembered by the candidates' devices, so the measurement (about a second) happens once a
 * machine. A person can force a backend; then nothing is measured.
 */
import { DeviceError, ModelsError } from '../errors.ts'
import type { AttentionShape, Linear } from '../ops/ops.ts'
import type { BackendName, Engine } from './engine.ts'

export interface EngineCandidate {
  readonly backend: BackendName
  open(): Promise<Engine>
}

/** An engine, and one sentence on why it and no other. */
export type ChosenEngine = Engine & { readonly chosenBecause: string }

/** Where earlier measurements are kept; both may fail without harm, the measurement is then made again. */
export interface ChoiceMemory {
  read(devices: string): Promise<string | null>
  write(devices: string, backend: BackendName): Promise<void>
}

/** Opens the one backend that was asked for. */
export async function openForced(
  candidates: readonly EngineCandidate[],
  backend: BackendName,
): Promise<ChosenEngine> {
  const candidate = candidates.find((one) => one.backend === backend)
  if (!candidate) {
    const known = candidates.map((one) => one.backend).join(', ')
    throw new DeviceError('device/backend', `There is no ${backend} backend here; choose one of ${known}.`)
  }
  return chosen(await candidate.open(), `${backend} was asked for`)
}

/** Opens every candidate, keeps the quickest and closes the rest. Throws what the last one threw if none opens. */
export async function chooseEngine(
  candidates: readonly EngineCandidate[],
  memory?: ChoiceMemory,
): Promise<ChosenEngine> {
  const engines: Engine[] = []
  const absent: string[] = []
  let lastError: unknown = null
  for (const { backend, open } of candidates) {
    try {
      engines.push(await open())
    } catch (error) {
      if (!(error instanceof ModelsError)) throw error
      lastError = error
      absent.push(`${backend} is not available`)
    }
  }
  if (engines.length === 0) throw lastError
  if (engines.length === 1) return chosen(engines[0], absent.join(', ') || 'it is the only one here')

  const devices = engines.map(({ backend, device }) => `${backend}: ${device}`).join('; ')
  const remembered = await memory?.read(devices).catch(() => null)
  const known = engines.find(({ backend }) => backend === remembered)
  if (known) {
    await closeAllBut(known, engines)
    return chosen(known, 'it was the quickest when this machine was measured')
  }

  const timed: { engine: Engine; milliseconds: number }[] = []
  for (const engine of engines) {
    try {
      timed.push({ engine, milliseconds: await withinLimit(engine) })
    } catch (error) {
      // A device that fails under the test load must not get the work, nor keep the others from it.
      lastError = error
    }
  }
  if (timed.length === 0) {
    for (const engine of engines) await engine.dispose()
    throw lastError
  }
  timed.sort((a, b) => a.milliseconds - b.milliseconds)
  const best = timed[0].engine
  await closeAllBut(best, engines)
  await memory?.write(devices, best.backend).catch(() => {})
  const times = timed.map(({ engine, milliseconds }) => `${engine.backend} ${milliseconds.toFixed(1)} ms`)
  return chosen(best, `it was the quickest of a short measurement (${times.join(', ')})`)
}

function chosen(engine: Engine, chosenBecause: string): ChosenEngine {
  return Object.assign(engine, { chosenBecause })
}

async function closeAllBut(kept: Engine, engines: readonly Engine[]): Promise<void> {
  for (const engine of engines) if (engine !== kept) await engine.dispose()
}

/**
 * What a measurement may take, compiling included: a GPU's driver may need seconds for its first kernels; a
 * program on the CPU that needs as long has lost already, and a person is waiting.
 */
const LIMIT_MS = { gpu: 20_000, software: 4_000 }

/** As `measureEngine`; throws DeviceError `device/too-slow` where the limit passes first. */
async function withinLimit(engine: Engine): Promise<number> {
  const limitMs = engine.software ? LIMIT_MS.software : LIMIT_MS.gpu
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `${engine.backend} did not finish a short measurement within ${limitMs / 1000} s; choose another backend.`
      reject(new DeviceError('device/too-slow', message))
    }, limitMs)
  })
  const measured = measureEngine(engine)
  // Once it is too late, the engine is closed under the measurement, and how that ends is no one's concern.
  measured.catch(() => {})
  try {
    return await Promise.race([measured, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Timed runs after the one that compiles and warms up; a machine that is slow is known after the first. */
const TIMED_RUNS = 3
const TIMED_ENOUGH_MS = 300
const WIDTH = 192
const HIDDEN = 512
const RANK = 8
const SHAPE: AttentionShape = { batch: 2, tokens: 64, heads: 6, kvHeads: 2, headDim: 32, causal: true }
const KEY_WIDTH = SHAPE.kvHeads * SHAPE.headDim

/**
 * Milliseconds of one forward and backward through a pair of linear layers with their low-rank paths and an
 * attention, in the embedded model's sizes, results read back: the best of a few runs.
 */
export async function measureEngine(engine: Engine): Promise<number> {
  const rows = SHAPE.batch * SHAPE.tokens
  const numbers = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i) / 16)
  const up = engine.constant(numbers(HIDDEN * WIDTH), [HIDDEN, WIDTH])
  const down = engine.constant(numbers(WIDTH * HIDDEN), [WIDTH, HIDDEN])
  const keyWeight = engine.constant(numbers(KEY_WIDTH * WIDTH), [KEY_WIDTH, WIDTH])
  const parameters = engine.parameters([
    { name: 'up.a', shape: [RANK, WIDTH] },
    { name: 'up.b', shape: [HIDDEN, RANK] },
    { name: 'down.a', shape: [RANK, HIDDEN] },
    { name: 'down.b', shape: [WIDTH, RANK] },
  ])
  const layer = (weight: Linear['weight'], name: string): Linear => ({
    weight,
    lora: {
      a: parameters.parameters.get(`${name}.a`)!,
      b: parameters.parameters.get(`${name}.b`)!,
      scale: 2,
    },
  })
  const program = await engine.program(
    'measure',
    [{ name: 'x', shape: [rows, WIDTH], dtype: 'float32' }],
    (ops, { x }) => {
      const hidden = ops.linear.forward(x, layer(up, 'up')) // [rows, HIDDEN]
      const y = ops.linear.forward(hidden, layer(down, 'down')) // [rows, WIDTH]
      const dHidden = ops.linear.backward(y, hidden, layer(down, 'down')) // [rows, HIDDEN]
      const dx = ops.linear.backward(dHidden, x, layer(up, 'up')) // [rows, WIDTH]
      const key = ops.linear.forward(dx, { weight: keyWeight }) // [rows, KEY_WIDTH]
      return { out: ops.attention.forward(dx, key, key, SHAPE).out }
    },
  )
  try {
    const x = numbers(rows * WIDTH)
    await program.run({ x }, ['out'])
    let best = Number.POSITIVE_INFINITY
    for (let run = 0, timed = 0; run < TIMED_RUNS && timed < TIMED_ENOUGH_MS; run++) {
      const start = performance.now()
      await program.run({ x }, ['out'])
      const milliseconds = performance.now() - start
      timed += milliseconds
      best = Math.min(best, milliseconds)
    }
    return best
  } finally {
    program.dispose()
    parameters.dispose()
    engine.free(up)
    engine.free(down)
    engine.free(keyWeight)
  }
}
