/**
 * Unit tests: everything named *.test.ts beside the code. Those named *.full.test.ts (many kills, fuzz, soak)
 * run with ONEROUND_FULL=1, which is what `npm run test:full` sets. End-to-end tests have their own
 * configuration in e2e/.
 */
import { defineConfig } from 'vitest/config'

const full = process.env.ONEROUND_FULL === '1'

export default defineConfig({
  test: {
    include: ['{models,relay,web,scripts,bench,lab}/**/*.test.{ts,tsx}'],
    exclude: ['**/node_modules/**', ...(full ? [] : ['**/*.full.test.*'])],
    // Processes, not threads: the Vulkan loader reads the process's environment, and Dawn is not made for threads.
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['scripts/vitest-gpu.ts'],
    setupFiles: ['scripts/vitest-fast-check.ts'],
    testTimeout: full ? 600_000 : 90_000,
    hookTimeout: 60_000,
  },
})
