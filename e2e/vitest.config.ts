/**
 * End-to-end tests: a real relay process, a real Chromium, real WebGPU (SwiftShader). They need the built page
 * (`npm run build`) and run one after the other: two at once would share two cores and measure each other.
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const full = process.env.ONEROUND_FULL === '1'

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    include: ['e2e/**/*.test.ts'],
    exclude: full ? [] : ['**/*.full.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    fileParallelism: false,
    globalSetup: ['scripts/vitest-gpu.ts'],
    testTimeout: full ? 900_000 : 180_000,
    hookTimeout: 180_000,
  },
})
