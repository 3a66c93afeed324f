/** Engines in Node: WebGPU through Dawn (the `webgpu` package) where there is an adapter, tfjs-wasm, tfjs-cpu. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { DeviceError } from '../errors.ts'
import { createPlanEngine } from '../plan/plan-engine.ts'
import type { TunerStore } from '../plan/tuner.ts'
import {
  type ChoiceMemory,
  type ChosenEngine,
  chooseEngine,
  type EngineCandidate,
  openForced,
} from './choose.ts'
import type { BackendName, Engine } from './engine.ts'
import { type GpuDevice, openGpuDevice } from './gpu-device.ts'
import { tunerFor } from './kernel-tuner.ts'

/** Dawn's GPU object must outlive every device made from it, or the process crashes. */
let dawn: GPU | null = null

/**
 * Opens a device on this machine's graphics adapter; also defines WebGPU's global constants. ONEROUND_DAWN_TOGGLES
 * names toggles of Dawn's to switch on, with commas between them, for those who measure or test kernels.
 */
export async function openNodeGpuDevice(): Promise<GpuDevice> {
  if (!dawn) {
    let webgpu: typeof import('webgpu')
    try {
      webgpu = await import('webgpu')
    } catch (cause) {
      throw new DeviceError(
        'device/no-webgpu',
        'WebGPU for Node does not load on this machine; choose the wasm backend.',
        { cause },
      )
    }
    Object.assign(globalThis, webgpu.globals)
    const toggles = process.env.ONEROUND_DAWN_TOGGLES
    dawn = webgpu.create(toggles ? [`enable-dawn-features=${toggles}`] : [])
  }
  return openGpuDevice(dawn)
}

async function openPlan(): Promise<Engine> {
  const gpu = await openNodeGpuDevice()
  return createPlanEngine({ ...gpu, ...rememberedKernels(gpu) })
}

/** A plan engine's tuner, which keeps its choices in a file of this person's. Spread it into the engine's options. */
export const rememberedKernels = (gpu: GpuDevice) =>
  tunerFor(gpu, kernelFile(join(cacheFolder(), 'kernels.json')))

// WebGL needs a browser, so it is no candidate here.
const webgpu: EngineCandidate = { backend: 'webgpu', open: openPlan }
const wasm: EngineCandidate = {
  backend: 'wasm',
  open: async () => (await import('./tfjs-wasm.ts')).createWasmEngine(),
}
const cpu: EngineCandidate = {
  backend: 'cpu',
  open: async () => (await import('./tfjs-cpu.ts')).createCpuEngine(),
}

/**
 * 'auto' (the default) measures WebGPU and wasm and remembers the outcome; a name forces that backend.
 * Throws DeviceError where it does not open.
 */
export async function createNodeEngine(
  options: { backend?: BackendName | 'auto' } = {},
): Promise<ChosenEngine> {
  const { backend = 'auto' } = options
  return backend === 'auto'
    ? chooseEngine([webgpu, wasm], fileMemory(join(cacheFolder(), 'backend.json')))
    : openForced([webgpu, wasm, cpu], backend)
}

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'oneround')
}

/** One JSON object in a file. */
function fileObject(path: string) {
  const read = async (): Promise<Record<string, unknown>> => {
    const parsed: unknown = JSON.parse(await readFile(path, 'utf8'))
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
  }
  const write = async (key: string, value: unknown): Promise<void> => {
    const all = await read().catch(() => ({}))
    await mkdir(join(path, '..'), { recursive: true })
    // Another process may read at any moment: it sees the old file or the new one.
    const beside = `${path}.${process.pid}`
    await writeFile(beside, JSON.stringify({ ...all, [key]: value }))
    await rename(beside, path)
  }
  return { read, write }
}

/** Device words to backend name. */
export function fileMemory(path: string): ChoiceMemory {
  const { read, write } = fileObject(path)
  return {
    async read(devices) {
      const name = (await read())[devices]
      return typeof name === 'string' ? name : null
    },
    write,
  }
}

/** Device words to choices of kernels. */
export function kernelFile(path: string): TunerStore {
  const { read, write } = fileObject(path)
  return { read: async (device) => (await read())[device], write }
}
