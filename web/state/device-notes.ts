/** What this browser withholds from training, and what a phone needs: which sentences go beside the device. Pure. */
import type { DeviceReport } from '../worker/api.ts'

export type DeviceNote = 'webgpu' | 'software' | 'other' | 'no-webgpu' | 'no-threads' | 'phone'

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
  else notes.push(browser.secure && !browser.hasWebGpu ? 'no-webgpu' : 'other')
  if (device.backend === 'wasm' && browser.secure && !browser.hasSharedMemory) notes.push('no-threads')
  if (browser.isPhone) notes.push('phone')
  return notes
}

/** As this page finds it. A phone: touched, and narrow whichever way it is held. */
export const thisBrowser = (): Browser => ({
  secure: isSecureContext,
  hasWebGpu: 'gpu' in navigator,
  hasSharedMemory: crossOriginIsolated && typeof SharedArrayBuffer !== 'undefined',
  isPhone: matchMedia('(pointer: coarse)').matches && Math.min(screen.width, screen.height) < 600,
})
