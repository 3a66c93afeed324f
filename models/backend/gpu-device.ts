/**
 * Opens a GPUDevice of our own, in a tab or in Node: with the adapter's own limits and the features kernels can
 * use (tfjs asks for neither), with its errors and its loss listened to, and with the honest answer to whether
 * a GPU stands behind it or a program on the CPU.
 *
 * WebGPU reports most mistakes only through `uncapturederror`, and a buffer over a limit then reads zeros:
 * whoever runs work on the device calls `check()` before believing results.
 */
import { DeviceError } from '../errors.ts'

/** Asked for where the adapter has them; kernels look at `device.features`. */
const USEFUL_FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query']

export interface GpuDevice {
  readonly device: GPUDevice
  readonly adapterInfo: GPUAdapterInfo
  /** In words, e.g. "apple metal-3 (WebGPU)". */
  readonly description: string
  /** True where WebGPU runs on the CPU (SwiftShader, Mesa's llvmpipe, Windows' basic render driver). */
  readonly software: boolean
  /** Resolves with one sentence when the device is gone, closed on purpose included; never rejects. */
  readonly lost: Promise<string>
  /** Throws the first error the device has reported, if any. */
  check(): void
  close(): void
}

/**
 * Throws DeviceError `device/no-webgpu`, `device/no-adapter` or `device/refused`; the message's next step is
 * for a person.
 */
export async function openGpuDevice(gpu: GPU | undefined): Promise<GpuDevice> {
  if (!gpu) {
    throw new DeviceError(
      'device/no-webgpu',
      'WebGPU is not available here: open the page over HTTPS or on localhost in a browser that has WebGPU, or choose another backend.',
    )
  }
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) {
    throw new DeviceError(
      'device/no-adapter',
      'WebGPU found no graphics adapter: update the graphics driver, or choose another backend.',
    )
  }
  let device: GPUDevice
  try {
    device = await adapter.requestDevice({
      requiredFeatures: USEFUL_FEATURES.filter((feature) => adapter.features.has(feature)),
      requiredLimits: adapterLimits(adapter.limits),
    })
  } catch (cause) {
    throw new DeviceError('device/refused', `The graphics adapter gave no device: ${sentence(cause)}.`, {
      cause,
    })
  }
  let firstError: string | null = null
  device.addEventListener('uncapturederror', (event) => {
    firstError ??= event.error.message
  })
  const info = adapter.info
  return {
    device,
    adapterInfo: info,
    description: `${adapterWords(info)} (WebGPU)`,
    software: isSoftwareAdapter(info),
    lost: device.lost.then(({ reason, message }) =>
      reason === 'destroyed'
        ? 'The graphics device was closed.'
        : `The graphics device was lost (${message.trim() || 'no reason given'}); start again from the last checkpoint.`,
    ),
    check() {
      if (firstError !== null) {
        throw new DeviceError(
          'device/error',
          `The graphics device reported an error, so its results cannot be trusted: ${firstError}`,
        )
      }
    },
    close: () => device.destroy(),
  }
}

/** Every limit at the adapter's own value: the defaults cap buffers at 256 MiB and bindings at 8. */
function adapterLimits(limits: GPUSupportedLimits): Record<string, number> {
  const all: Record<string, number> = {}
  // The limits are getters on the prototype, so Object.entries sees none of them.
  for (const name in limits) {
    const limit = (limits as unknown as Record<string, unknown>)[name]
    if (typeof limit === 'number') all[name] = limit
  }
  return all
}

export function isSoftwareAdapter(info: Partial<GPUAdapterInfo> & { isFallbackAdapter?: boolean }): boolean {
  if (info.isFallbackAdapter) return true
  const words = `${info.vendor ?? ''} ${info.architecture ?? ''} ${info.device ?? ''} ${info.description ?? ''}`
  return /swiftshader|llvmpipe|lavapipe|basic render/i.test(words)
}

function adapterWords(info: GPUAdapterInfo): string {
  const words = info.description || [info.vendor, info.architecture, info.device].filter(Boolean).join(' ')
  return words.trim() || 'unnamed graphics adapter'
}

function sentence(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.\s*$/, '')
}
