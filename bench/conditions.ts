/** Under what conditions a bench ran: what its report says of machine, software and date, and of each timed thing's engine. */
import { readFileSync } from 'node:fs'
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'
import type { BackendName, Engine, ExecutorName, HalfUse } from '../models/backend/engine.ts'

export interface Conditions {
  /** ISO 8601, when the bench began. */
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  /** Of the last minute, when the bench began: what other work there was. */
  readonly loadAverage: number
  readonly versions: {
    readonly oneround: string
    readonly node: string
    readonly tfjs: string
    /** Of the npm package, which is Dawn. */
    readonly webgpu: string
  }
}

export function conditions(): Conditions {
  const { version, dependencies } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version: string; dependencies: Record<string, string> }
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    loadAverage: loadavg()[0],
    versions: {
      oneround: version,
      node: process.version,
      tfjs: tf.version_core,
      webgpu: dependencies.webgpu,
    },
  }
}

/** Where something was timed. */
export interface Place {
  readonly backend: BackendName
  /** `tfjs` where none of this project's engine took part. */
  readonly executor: ExecutorName | 'tfjs'
  readonly device: string
  /** What of it may be in float16; nothing of tfjs's. */
  readonly float16: readonly HalfUse[]
  /** By which clock speeds are told: the processor's where the device is one. */
  readonly clock: 'wall' | 'processor'
}

/** True where the work is done by the processor whose time the bench can read. */
export const onProcessor = ({ software, backend }: Engine): boolean => software || backend !== 'webgpu'

export const placeOf = (engine: Engine, executor: Place['executor'] = engine.executor): Place => ({
  backend: engine.backend,
  executor,
  device: engine.device,
  float16: executor === 'tfjs' ? [] : engine.float16,
  clock: onProcessor(engine) ? 'processor' : 'wall',
})
