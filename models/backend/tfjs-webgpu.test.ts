/** The eager executor on tfjs's WebGPU backend, in so far as it differs from others: its device works by itself. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { normals } from '../testing/normals.ts'
import { openTfjsWebgpu } from '../testing/tfjs-webgpu.ts'
import type { Engine } from './engine.ts'
import { openNodeGpuDevice } from './node.ts'

const SIDE = 64

describe.skipIf(process.env.ONEROUND_TEST_GPU === 'none')('eager on tfjs-webgpu', () => {
  let engine: Engine
  let submits = 0
  let completed = 0

  beforeAll(async () => {
    const gpu = await openNodeGpuDevice()
    const { queue } = gpu.device
    const submit = queue.submit.bind(queue)
    queue.submit = (commands) => {
      submit(commands)
      submits++
      void queue.onSubmittedWorkDone().then(() => completed++)
      return undefined
    }
    engine = await openTfjsWebgpu(gpu)
  })

  afterAll(async () => {
    await engine.dispose()
  })

  it('finish submits what tfjs holds back and waits until the device has done it', async () => {
    const weight = engine.constant(normals(SIDE * SIDE, 1), [SIDE, SIDE])
    const program = await engine.program(
      'product',
      [{ name: 'x', shape: [SIDE, SIDE], dtype: 'float32' }],
      (ops, { x }) => ({ y: ops.linear.forward(x, { weight }) }),
    )
    await engine.finish()
    const [submitsBefore, opsBefore] = [submits, engine.tfjsOps()]
    await program.run({ x: normals(SIDE * SIDE, 2) })
    expect(engine.tfjsOps()).toBeGreaterThan(opsBefore)
    // tfjs collects hundreds of ops before it submits by itself.
    expect(submits).toBe(submitsBefore)
    await engine.finish()
    expect(submits).toBeGreaterThan(submitsBefore)
    expect(completed).toBe(submits)
    program.dispose()
    engine.free(weight)
  })

  it('writes some of its parameters without reading the others back', async () => {
    // So large that tfjs does not keep them on the CPU.
    const set = engine.parameters([
      { name: 'a', shape: [SIDE, SIDE] },
      { name: 'b', shape: [SIDE, SIDE] },
    ])
    const [a, b] = [normals(SIDE * SIDE, 3), normals(SIDE * SIDE, 4)]
    set.write(new Map([['a', a]]))
    set.write(new Map([['b', b]]))
    expect(await set.read()).toEqual(new Map(Object.entries({ a, b })))
    set.dispose()
  })
})
