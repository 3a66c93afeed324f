/** Engines in a browser, made in the worker where models run: WebGPU, tfjs-wasm, tfjs-webgl, tfjs-cpu. */
import { createStore, get, set } from 'idb-keyval'
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
import type { BackendName } from './engine.ts'
import { openGpuDevice } from './gpu-device.ts'
import { tunerFor } from './kernel-tuner.ts'

export interface BrowserEngineOptions {
  /** 'auto' (the default) measures WebGPU and wasm and remembers the outcome; a name forces that backend. */
  readonly backend?: BackendName | 'auto'
  /** Where tfjs's three .wasm files are served, with a slash at the end. */
  readonly wasmPath: string
}

/** Throws DeviceError where nothing, or not what was asked for, opens. */
export async function createBrowserEngine(options: BrowserEngineOptions): Promise<ChosenEngine> {
  const { backend = 'auto', wasmPath } = options
  const webgpu: EngineCandidate = {
    backend: 'webgpu',
    async open() {
      const gpu = await openGpuDevice(navigator.gpu)
      return createPlanEngine({ ...gpu, ...tunerFor(gpu, browserKernels()) })
    },
  }
  const wasm: EngineCandidate = {
    backend: 'wasm',
    async open() {
      if (typeof WebAssembly === 'undefined')
        throw new DeviceError(
          'device/no-webassembly',
          'This browser has neither WebGPU nor WebAssembly, or they are switched off, so no model can run in it; switch them on, or take a current Chrome, Edge, Firefox or Safari.',
        )
      return (await import('./tfjs-wasm.ts')).createWasmEngine(wasmPath)
    },
  }
  const webgl: EngineCandidate = {
    backend: 'webgl',
    open: async () => (await import('./tfjs-webgl.ts')).createWebglEngine(),
  }
  const cpu: EngineCandidate = {
    backend: 'cpu',
    open: async () => (await import('./tfjs-cpu.ts')).createCpuEngine(),
  }
  return backend === 'auto'
    ? chooseEngine([webgpu, wasm], browserMemory())
    : openForced([webgpu, wasm, webgl, cpu], backend)
}

/** Beside the choice of backend, with the same reservation. */
function browserKernels(): TunerStore {
  const store = createStore('oneround-kernels', 'choices')
  return {
    read: (device) => get(device, store),
    write: (device, choices) => set(device, choices, store),
  }
}

/** In IndexedDB, which a worker can reach; private windows may refuse it. */
function browserMemory(): ChoiceMemory {
  const store = createStore('oneround-backend', 'choices')
  return {
    async read(devices) {
      const name: unknown = await get(devices, store)
      return typeof name === 'string' ? name : null
    },
    write: (devices, name) => set(devices, name, store),
  }
}
