import { defineConfig } from 'vitest/config'

const fast = ['test/unit/**/*.test.ts', 'test/protocol/**/*.test.ts', 'test/architecture.test.ts']

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      // They take milliseconds; the machine may have others to serve.
      { test: { name: 'fast', include: fast, testTimeout: 30_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/fault/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
