/** Creates tfjs's WebGL backend: GPUs in browsers without WebGPU, and pages that are not a secure context. */
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-webgl'
import type { MathBackendWebGL } from '@tensorflow/tfjs-backend-webgl'
import { DeviceError } from '../errors.ts'
import { createEagerEngine } from './eager-engine.ts'
import type { Engine } from './engine.ts'
import { isSoftwareAdapter } from './gpu-device.ts'
import { startTfjs } from './tfjs-start.ts'

export async function createWebglEngine(): Promise<Engine> {
  await startTfjs('webgl', () => tf.setBackend('webgl'))
  if (!tf.env().getBool('WEBGL_RENDER_FLOAT32_ENABLED')) {
    throw new DeviceError(
      'device/webgl-half',
      'This graphics chip computes WebGL with 16-bit numbers only, too coarse for training; choose the wasm backend.',
    )
  }
  const { gl } = (tf.backend() as MathBackendWebGL).gpgpu
  const renderer = rendererName(gl)
  return createEagerEngine({
    backend: 'webgl',
    device: `${renderer} (WebGL)`,
    software: isSoftwareAdapter({ description: renderer }),
    lost: new Promise((resolve) => {
      gl.canvas.addEventListener('webglcontextlost', () =>
        resolve('The graphics device was lost; start again from the last checkpoint.'),
      )
    }),
  })
}

function rendererName(gl: WebGLRenderingContext): string {
  const extension = gl.getExtension('WEBGL_debug_renderer_info')
  const name: unknown = gl.getParameter(extension ? extension.UNMASKED_RENDERER_WEBGL : gl.RENDERER)
  return typeof name === 'string' && name ? name : 'unnamed graphics chip'
}
