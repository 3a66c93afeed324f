/**
 * Compute pipelines by source, compiled once a device: blocks of one shape share them, and so do programs.
 */
import { DeviceError } from '../errors.ts'
import type { Dispatch } from './recorder.ts'

export class Pipelines {
  private readonly device: GPUDevice
  private readonly layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>()
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>()

  constructor(device: GPUDevice) {
    this.device = device
  }

  groupLayout(access: string): GPUBindGroupLayout {
    return this.layout(access).group
  }

  compile(dispatch: Dispatch): Promise<GPUComputePipeline> {
    const key = `${dispatch.access}\n${dispatch.code}`
    let pipeline = this.pipelines.get(key)
    if (!pipeline) {
      pipeline = this.create(dispatch)
      this.pipelines.set(key, pipeline)
    }
    return pipeline
  }

  private async create(dispatch: Dispatch): Promise<GPUComputePipeline> {
    const module = this.device.createShaderModule({ code: dispatch.code, label: dispatch.name })
    try {
      return await this.device.createComputePipelineAsync({
        label: dispatch.name,
        layout: this.layout(dispatch.access).pipeline,
        compute: { module, entryPoint: 'main' },
      })
    } catch (error) {
      const { messages } = await module.getCompilationInfo()
      const details = messages.map((message) => `${message.lineNum}: ${message.message}`).join('; ')
      throw new DeviceError(
        'device/shader',
        `This device's driver refused the kernel ${dispatch.name} (${details || String(error)}); choose another backend.`,
        { cause: error },
      )
    }
  }

  private layout(access: string) {
    let layout = this.layouts.get(access)
    if (!layout) {
      const group = this.device.createBindGroupLayout({
        entries: [...access].map((kind, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: kind === 'r' ? ('read-only-storage' as const) : ('storage' as const) },
        })),
      })
      layout = { group, pipeline: this.device.createPipelineLayout({ bindGroupLayouts: [group] }) }
      this.layouts.set(access, layout)
    }
    return layout
  }
}
