import { defineConfig } from 'vitest/config'

/** Foreign test suites that take minutes: `npm run test:suites`, never part of `npm test`. */
export default defineConfig({
  test: {
    name: 'suites',
    include: ['test/suites/**/*.test.ts'],
    testTimeout: 660_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
})
