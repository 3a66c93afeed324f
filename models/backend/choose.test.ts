/** The choice of a backend: by what was measured, as it is remembered, or as a person asked for. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DeviceError } from '../errors.ts'
import { createPlanEngine } from '../plan/plan-engine.ts'
import { type ChoiceMemory, chooseEngine, type EngineCandidate, measureEngine, openForced } from './choose.ts'
import type { BackendName, Engine } from './engine.ts'
import { createNodeEngine, fileMemory, openNodeGpuDevice } from './node.ts'

const real = (backend: BackendName): EngineCandidate => ({
  backend,
  open: () => createNodeEngine({ backend }),
})

const absent: EngineCandidate = {
  backend: 'webgpu',
  open: () => Promise.reject(new DeviceError('device/no-adapter', 'no adapter')),
}

/** A candidate that opens, and fails at the first piece of work. */
const broken: EngineCandidate = {
  backend: 'webgl',
  async open() {
    const engine = await createNodeEngine({ backend: 'cpu' })
    return Object.assign(Object.create(engine) as Engine, {
      backend: 'webgl',
      constant() {
        throw new DeviceError('device/error', 'broken')
      },
    })
  },
}

function memoryOf(entries: Record<string, string>): ChoiceMemory {
  return {
    read: async (devices) => entries[devices] ?? null,
    async write(devices, backend) {
      entries[devices] = backend
    },
  }
}

describe('chooseEngine', () => {
  it('takes the quicker of two and says why', async () => {
    for (const candidates of [
      [real('cpu'), real('wasm')],
      [real('wasm'), real('cpu')],
    ]) {
      const engine = await chooseEngine(candidates)
      expect(engine.backend).toBe('wasm')
      expect(engine.chosenBecause).toMatch(/quickest.*wasm [\d.]+ ms, cpu [\d.]+ ms/)
      await engine.dispose()
    }
  })

  it.skipIf(process.env.ONEROUND_TEST_GPU === 'none' || process.env.ONEROUND_TEST_GPU === 'system')(
    'wasm beats WebGPU on a software adapter',
    async () => {
      const webgpu: EngineCandidate = {
        backend: 'webgpu',
        open: async () => createPlanEngine(await openNodeGpuDevice()),
      }
      const engine = await chooseEngine([webgpu, real('wasm')])
      expect(engine.backend).toBe('wasm')
      await engine.dispose()
    },
    120_000,
  )

  it('remembers by the devices, and then does not measure', async () => {
    const entries: Record<string, string> = {}
    const first = await chooseEngine([real('cpu'), real('wasm')], memoryOf(entries))
    expect(Object.values(entries)).toEqual(['wasm'])
    expect(Object.keys(entries)[0]).toContain(first.device)
    await first.dispose()
    // A false memory shows that it is believed.
    entries[Object.keys(entries)[0]] = 'cpu'
    const second = await chooseEngine([real('cpu'), real('wasm')], memoryOf(entries))
    expect(second.backend).toBe('cpu')
    expect(second.chosenBecause).toMatch(/measured/)
    await second.dispose()
  })

  it('measures where the memory fails', async () => {
    const failing: ChoiceMemory = {
      read: () => Promise.reject(new Error('no disk')),
      write: () => Promise.reject(new Error('no disk')),
    }
    const engine = await chooseEngine([real('cpu'), real('wasm')], failing)
    expect(engine.backend).toBe('wasm')
    await engine.dispose()
  })

  it('passes over what does not open or breaks while it is measured', async () => {
    const only = await chooseEngine([absent, real('cpu')])
    expect([only.backend, only.chosenBecause]).toEqual(['cpu', 'webgpu is not available'])
    await only.dispose()
    const sound = await chooseEngine([broken, real('cpu')])
    expect(sound.backend).toBe('cpu')
    await sound.dispose()
  })

  it('throws what it met when nothing opens', async () => {
    await expect(chooseEngine([absent])).rejects.toMatchObject({ code: 'device/no-adapter' })
    await expect(chooseEngine([broken, { ...broken, backend: 'webgpu' }])).rejects.toMatchObject({
      code: 'device/error',
    })
  })

  it('opens what was asked for, or says what there is', async () => {
    const engine = await openForced([real('wasm'), real('cpu')], 'cpu')
    expect([engine.backend, engine.chosenBecause]).toEqual(['cpu', 'cpu was asked for'])
    await engine.dispose()
    await expect(openForced([real('wasm')], 'webgl')).rejects.toMatchObject({
      code: 'device/backend',
      message: /webgl.*wasm/,
    })
  })
})

it('a measurement leaves nothing behind', async () => {
  const engine = await createNodeEngine({ backend: 'cpu' })
  await measureEngine(engine)
  // What depends on shapes alone (the causal mask) stays; a second measurement adds nothing.
  const before = engine.memory()
  expect(await measureEngine(engine)).toBeGreaterThan(0)
  expect(engine.memory()).toEqual(before)
  await engine.dispose()
})

describe('fileMemory', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'oneround-choice-'))
  })

  afterAll(() => rm(folder, { recursive: true }))

  it('keeps one choice a device, in a folder it makes', async () => {
    const path = join(folder, 'deep', 'backend.json')
    await fileMemory(path).write('a', 'wasm')
    await fileMemory(path).write('b', 'webgpu')
    expect(await fileMemory(path).read('a')).toBe('wasm')
    expect(await fileMemory(path).read('b')).toBe('webgpu')
    expect(await fileMemory(path).read('c')).toBe(null)
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ a: 'wasm', b: 'webgpu' })
  })

  it('writes over a file that is damaged', async () => {
    const path = join(folder, 'damaged.json')
    await writeFile(path, '{')
    await expect(fileMemory(path).read('a')).rejects.toThrow()
    await fileMemory(path).write('a', 'cpu')
    expect(await fileMemory(path).read('a')).toBe('cpu')
  })
})
