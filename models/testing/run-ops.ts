/** Running a few ops once on an engine under test, with proof of which executor ran them. */
import { expect } from 'vitest'
import type { Engine } from '../backend/engine.ts'
import type { Ops, Tensor } from '../ops/ops.ts'
import { integers, normals } from './normals.ts'

export interface OpInput {
  readonly values: Float32Array | Int32Array
  readonly shape: readonly number[]
}

export const matrix = (rows: number, columns: number, seed: number, deviation = 1) => ({
  values: normals(rows * columns, seed, deviation),
  shape: [rows, columns],
})

export const ids = (rows: number, seed: number, limit: number) => ({
  values: integers(rows, seed, limit),
  shape: [rows],
})

/** One run of `body` as a program over `inputs`; returns the outputs named in `read`. */
export async function runOps<Name extends string, Output extends string>(
  engine: Engine,
  inputs: Readonly<Record<Name, OpInput>>,
  read: readonly Output[],
  body: (ops: Ops, inputs: Readonly<Record<Name, Tensor>>) => Readonly<Record<Output, Tensor>>,
): Promise<Record<Output, Float32Array>> {
  const named = Object.entries(inputs) as [Name, OpInput][]
  const specs = named.map(([name, { values, shape }]) => ({
    name,
    shape,
    dtype: values instanceof Int32Array ? ('int32' as const) : ('float32' as const),
  }))
  const kernelsBefore = engine.tfjsOps()
  const program = await engine.program('case', specs, (ops, tensors) =>
    body(ops, tensors as Record<Name, Tensor>),
  )
  try {
    const values = Object.fromEntries(named.map(([name, input]) => [name, input.values]))
    const outputs = await program.run(values, read)
    if (engine.executor === 'plan') {
      expect(program.stats.dispatches, 'dispatches of the plan').toBeGreaterThan(0)
      expect(engine.tfjsOps() - kernelsBefore, 'tfjs kernels beside the plan').toBe(0)
    } else {
      expect(program.stats.dispatches).toBe(0)
      expect(engine.tfjsOps() - kernelsBefore, 'tfjs kernels').toBeGreaterThan(0)
    }
    return outputs as Record<Output, Float32Array>
  } finally {
    program.dispose()
  }
}
