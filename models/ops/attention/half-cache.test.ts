/**
 * Generation's cache in float16, on an adapter that has it (lavapipe has, SwiftShader has not): half the memory, and what
 * attention makes of it near what it makes of float32, numbers beyond float16's range included.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeGpuDevice } from '../../backend/node.ts'
import { createPlanEngine, type PlanEngine } from '../../plan/plan-engine.ts'
import { expectNear } from '../../testing/close.ts'
import { matrix, runOps } from '../../testing/run-ops.ts'

const [TOKENS, HEADS, KV_HEADS, HEAD_DIM] = [5, 4, 2, 8]

describe.skipIf(process.env.ONEROUND_TEST_GPU === 'none')('a cache in float16', () => {
  const engines: PlanEngine[] = []
  beforeAll(async () => {
    for (const halfCache of [true, false])
      engines.push(createPlanEngine({ ...(await openNodeGpuDevice()), halfCache }))
  })
  afterAll(async () => {
    for (const engine of engines) await engine.dispose()
  })

  it('is half as large, and as good to the third digit', async (context) => {
    const [half, whole] = engines
    if (!half.halfCache) context.skip(`${half.device} has no shader-f16`)
    const width = KV_HEADS * HEAD_DIM
    const inputs = {
      q: matrix(TOKENS, HEADS * HEAD_DIM, 1),
      k: matrix(TOKENS, width, 2),
      v: matrix(TOKENS, width, 3),
      positions: { values: Int32Array.from({ length: TOKENS }, (_, i) => i), shape: [TOKENS] },
    }
    // Beyond the largest float16, 65,504.
    inputs.v.values[0] = 1e5
    const found: Float32Array[] = []
    const bytes: number[] = []
    for (const engine of [half, whole]) {
      const before = engine.memory().bytes
      const cache = engine.kvCache(1024, width)
      bytes.push(engine.memory().bytes - before)
      const { out } = await runOps(engine, inputs, ['out'], (ops, { q, k, v, positions }) => ({
        out: ops.attention.cached(q, k, v, cache, positions, HEADS, HEAD_DIM),
      }))
      found.push(out)
      engine.free(cache)
    }
    expect(bytes[0] * 2).toBe(bytes[1])
    const others = (out: Float32Array) => out.filter((_, i) => i % HEAD_DIM !== 0)
    expect(others(found[0])).not.toEqual(others(found[1]))
    expectNear(others(found[0]), others(found[1]), 2e-3, 'attention')
    // The first query sees that value alone.
    expect([found[0][0], found[1][0]]).toEqual([65_504, 1e5])
  })
})
