/**
 * Counts the dispatches that an engine's programs replay, for diagnostics: each program knows its own number and
 * how often it ran, so the engine's `program` is all that has to be watched.
 */
import type { Engine, Program } from '../../models/backend/engine.ts'

export interface DispatchCount {
  total(): number
}

/** Watches `engine` from now on. Counts of programs that are disposed of are kept. */
export function countDispatches(engine: Engine): DispatchCount {
  const live = new Set<Program>()
  let disposed = 0
  const replayed = ({ stats }: Program) => stats.dispatches * stats.replays
  const create = engine.program.bind(engine)
  engine.program = async (...description) => {
    const program = await create(...description)
    live.add(program)
    const dispose = program.dispose.bind(program)
    program.dispose = () => {
      if (live.delete(program)) disposed += replayed(program)
      dispose()
    }
    return program
  }
  return {
    total: () => [...live].reduce((sum, program) => sum + replayed(program), disposed),
  }
}
