/** The tuner of a device's kernels, where there is anything to tune. */
import { Tuner, type TunerStore } from '../plan/tuner.ts'
import type { GpuDevice } from './gpu-device.ts'

/**
 * None on software adapters: there the order of the variants is known, and each would take seconds to compile. Spread
 * the result into the engine's options.
 */
export function tunerFor(
  { adapterInfo, description, software }: GpuDevice,
  store: TunerStore,
): { readonly tuner?: Tuner } {
  if (software) return {}
  const { vendor, architecture, device } = adapterInfo
  return { tuner: new Tuner({ device: [vendor, architecture, device, description].join(' '), store }) }
}
