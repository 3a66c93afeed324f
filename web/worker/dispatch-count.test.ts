import { describe, expect, it } from 'vitest'
import type { Engine, Program } from '../../models/backend/engine.ts'
import { countDispatches } from './dispatch-count.ts'

/** Just the part of an engine that is counted. */
function engineOf(dispatches: number): Engine {
  const program = async (): Promise<Program> => {
    const stats = { dispatches, intermediateBytes: 0, replays: 0, flops: 0, encodeMs: 0, submitMs: 0 }
    return {
      stats,
      run: async () => {
        stats.replays += 1
        return {}
      },
      dispose() {},
    }
  }
  return { program } as unknown as Engine
}

describe('dispatches of an engine’s programs', () => {
  it('are those of every replay, also of programs that are gone', async () => {
    const engine = engineOf(7)
    const counted = countDispatches(engine)
    const first = await engine.program('first', [], () => ({}))
    await first.run({})
    await first.run({})
    expect(counted.total()).toBe(14)
    first.dispose()
    first.dispose()
    const second = await engine.program('second', [], () => ({}))
    await second.run({})
    expect(counted.total()).toBe(21)
  })
})
