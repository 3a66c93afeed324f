/**
 * End-to-end tests: a real relay process, a real Chromium, real WebGPU (SwiftShader). They need the built page
 * (`npm run build`). Two files run at once, as each waits more than it computes; those that measure, and the long ones, have
 * the machine to themselves, before the others.
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const full = process.env.ONEROUND_FULL === '1'

const ALONE = ['e2e/start.test.ts', 'e2e/**/*.full.test.ts']

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    pool: 'forks',
    globalSetup: ['scripts/vitest-gpu.ts'],
    testTimeout: full ? 900_000 : 180_000,
    hookTimeout: 180_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          exclude: full ? [] : ['**/*.full.test.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'together',
          include: ['e2e/**/*.test.ts'],
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
