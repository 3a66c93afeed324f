/** The tuner's choices, over runners of known speed; and on a device, where a choice must not change what comes out. */
import { describe, expect, it } from 'vitest'
import { openNodeGpuDevice } from '../backend/node.ts'
import { DeviceError } from '../errors.ts'
import { normals } from '../testing/normals.ts'
import { createPlanEngine } from './plan-engine.ts'
import type { Dispatch } from './recorder.ts'
import { type Runner, Tuner, type TunerStore, variantName } from './tuner.ts'

/** One dispatch in variants; the first is what a program has without a tuner. */
function dispatch(key: string, ...variants: string[]): Dispatch {
  const made = variants.map(
    (variant): Dispatch => ({
      name: `op.${variant}`,
      scope: '',
      code: '',
      access: '',
      tensors: [],
      workgroups: [1, 1, 1],
      flops: 1,
    }),
  )
  return { ...made[0], tuning: { key, others: made.slice(1).map((other) => () => other) } }
}

/** Runs by a clock of its own: `speeds` are milliseconds by variant. */
function device(speeds: Readonly<Record<string, number>>) {
  let ms = 0
  const runs: string[] = []
  const run: Runner = async (given, repeats) => {
    const name = variantName(given)
    runs.push(name)
    if (!(name in speeds)) throw new DeviceError('device/shader', `${name} is refused`)
    ms += speeds[name] * repeats
    return speeds[name] * repeats
  }
  return { run, runs, now: () => ms }
}

function memoryStore(): TunerStore & { held: Map<string, unknown> } {
  const held = new Map<string, unknown>()
  return {
    held,
    read: async (key) => held.get(key),
    write: async (key, choices) => void held.set(key, structuredClone(choices)),
  }
}

const names = (dispatches: readonly Dispatch[]) => dispatches.map(variantName)

describe('the tuner', () => {
  it('takes the quickest, once for a key, and remembers it by device', async () => {
    const store = memoryStore()
    const { run, runs, now } = device({ plain: 3, tiled: 2, split: 5 })
    const program = [dispatch('a', 'plain', 'tiled', 'split'), dispatch('a', 'plain', 'tiled', 'split')]
    const tuner = new Tuner({ device: 'card', store, now })
    expect(names(await tuner.resolve(program, run))).toEqual(['tiled', 'tiled'])
    const measured = runs.length
    expect(measured).toBeGreaterThan(3)
    expect(names(await tuner.resolve(program, run))).toEqual(['tiled', 'tiled'])
    // Another day, a device on which things would look different now.
    const later = device({ plain: 1, tiled: 2, split: 5 })
    expect(
      names(await new Tuner({ device: 'card', store, now: later.now }).resolve(program, later.run)),
    ).toEqual(['tiled', 'tiled'])
    expect(runs.length + later.runs.length).toBe(measured)
    const other = new Tuner({ device: 'another card', store, now: later.now })
    expect(names(await other.resolve(program, later.run))).toEqual(['plain', 'plain'])
  })

  it('keeps the first where another is hardly quicker, and passes by what the driver refuses', async () => {
    const { run, now } = device({ plain: 3, tiled: 2.95 })
    const tuner = new Tuner({ device: 'card', now })
    expect(names(await tuner.resolve([dispatch('a', 'plain', 'refused', 'tiled')], run))).toEqual(['plain'])
    expect(names(await tuner.resolve([dispatch('b', 'refused', 'plain')], run))).toEqual(['plain'])
  })

  it('stops when its time is up: the rest keeps the first, and is not remembered', async () => {
    const store = memoryStore()
    const { run, now } = device({ plain: 30, tiled: 10 })
    const tuner = new Tuner({ device: 'card', store, now, budgetMs: 200 })
    const program = ['a', 'b', 'c'].map((key) => dispatch(key, 'plain', 'tiled'))
    expect(names(await tuner.resolve(program, run))).toEqual(['tiled', 'plain', 'plain'])
    // One that was given up stays what it is for as long as this tuner lives: programs of one engine agree.
    expect(names(await tuner.resolve(program, run))).toEqual(['tiled', 'plain', 'plain'])
    expect([...tuner.choices]).toEqual([['a', 'tiled']])
    expect([...store.held.values()]).toEqual([{ a: 'tiled' }])
  })

  it.each([null, 7, 'text', [1], { a: 5 }, { a: 'of an older version' }])(
    'lives with a store that holds %j',
    async (found) => {
      const { run, now } = device({ plain: 3, tiled: 2 })
      const store: TunerStore = { read: async () => found, write: () => Promise.reject(new Error('full')) }
      const [chosen] = await new Tuner({ device: 'card', store, now }).resolve(
        [dispatch('a', 'plain', 'tiled')],
        run,
      )
      expect(['plain', 'tiled']).toContain(variantName(chosen))
    },
  )

  it.skipIf(process.env.ONEROUND_TEST_GPU === 'none')(
    'on a device: the same bits from the same choices',
    async () => {
      const store = memoryStore()
      const results: Float32Array[] = []
      const choices: unknown[] = []
      for (let day = 0; day < 2; day++) {
        const gpu = await openNodeGpuDevice()
        const tuner = new Tuner({ device: gpu.description, store, budgetMs: 60_000 })
        const engine = createPlanEngine({ ...gpu, style: 'workgroup', tuner })
        const weight = engine.constant(normals(16 * 256, 1), [16, 256])
        const program = await engine.program(
          'x',
          [{ name: 'x', shape: [3, 256], dtype: 'float32' }],
          (ops, { x }) => ({
            y: ops.linear.forward(x, { weight }),
          }),
        )
        results.push((await program.run({ x: normals(3 * 256, 2) }, ['y'])).y)
        choices.push([...tuner.choices])
        await engine.dispose()
      }
      expect(choices[0]).toHaveLength(1)
      expect(choices[1]).toEqual(choices[0])
      expect(results[1]).toEqual(results[0])
    },
  )
})
