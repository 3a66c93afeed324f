/** What this browser withholds from training, and what a phone needs: which sentences go beside the device. Pure. */
import type { DeviceReport } from '../worker/api.ts'

export type DeviceNote =
  | 'webgpu'
  | 'software'
  | 'half'
  | 'other'
  | 'no-webgpu'
  | 'one-thread'
  | 'no-webgpu-one-thread'
  | 'no-simd'
  | 'phone'

export interface Browser {
  /** Over plain HTTP nearly everything is withheld, and the page says so in a sentence of its own. */
  readonly secure: boolean
  readonly hasWebGpu: boolean
  /** SharedArrayBuffer, without which wasm has one thread. */
  readonly hasSharedMemory: boolean
  readonly isPhone: boolean
}

export function deviceNotes(device: DeviceReport, browser: Browser): readonly DeviceNote[] {
  const notes: DeviceNote[] = []
  if (device.backend === 'webgpu') notes.push(device.software ? 'software' : 'webgpu')
  else notes.push(whyTheProcessor(device, browser))
  if (device.float16.length > 0) notes.push('half')
  if (device.backend === 'wasm' && !device.hasSimd) notes.push('no-simd')
  if (browser.isPhone) notes.push('phone')
  return notes
}

function whyTheProcessor(device: DeviceReport, browser: Browser): DeviceNote {
  if (!browser.secure) return 'other'
  const oneThread = device.backend === 'wasm' && !browser.hasSharedMemory
  if (browser.hasWebGpu) return oneThread ? 'one-thread' : 'other'
  return oneThread ? 'no-webgpu-one-thread' : 'no-webgpu'
}

/** As this page finds it. A phone: touched, and narrow whichever way it is held. */
export const thisBrowser = (): Browser => ({
  secure: isSecureContext,
  hasWebGpu: 'gpu' in navigator,
  hasSharedMemory: crossOriginIsolated && typeof SharedArrayBuffer !== 'undefined',
  isPhone: matchMedia('(pointer: coarse)').matches && Math.min(screen.width, screen.height) < 600,
})
