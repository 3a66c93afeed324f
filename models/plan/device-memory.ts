/** Every GPUBuffer of an engine is made and destroyed here, so that bytes in use are a number, not a guess. */
import { DeviceError } from '../errors.ts'
import { alignUp } from './plan-tensor.ts'

export class DeviceMemory {
  private readonly device: GPUDevice
  private readonly sizes = new Map<GPUBuffer, number>()
  private total = 0

  constructor(device: GPUDevice) {
    this.device = device
  }

  get buffers(): number {
    return this.sizes.size
  }

  get bytes(): number {
    return this.total
  }

  /** Zero-initialised, as WebGPU promises. */
  create(bytes: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
    const size = Math.max(16, alignUp(bytes, 16))
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits
    if (size > maxBufferSize || size > maxStorageBufferBindingSize) {
      throw new DeviceError(
        'device/buffer-too-large',
        `${label} needs ${megabytes(size)} in one piece, this device allows ${megabytes(Math.min(maxBufferSize, maxStorageBufferBindingSize))}; take a smaller batch, shorter windows or a smaller model.`,
      )
    }
    const buffer = this.device.createBuffer({ size, usage, label })
    this.sizes.set(buffer, size)
    this.total += size
    return buffer
  }

  destroy(buffer: GPUBuffer): void {
    const size = this.sizes.get(buffer)
    if (size === undefined) return
    this.sizes.delete(buffer)
    this.total -= size
    buffer.destroy()
  }

  destroyAll(): void {
    for (const buffer of [...this.sizes.keys()]) this.destroy(buffer)
  }
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
