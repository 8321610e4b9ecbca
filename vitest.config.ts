import { defineConfig } from 'vitest/config'

const fast = ['test/unit/**/*.test.ts', 'test/protocol/**/*.test.ts', 'test/architecture.test.ts']

const inShortTurns =
  process.env.PGSPLIT_TURNS === 'all'
    ? ['test/protocol/**/*.test.ts']
    : ['test/protocol/{copy,extended-query,floods,flow-control,fuzz,transactions}.test.ts']

/** Conditions are waited for long: it costs nothing, and the machine may have others to serve. */
const patient = { poll: { timeout: 20_000 } }

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      { test: { name: 'fast', include: fast, testTimeout: 30_000, expect: patient } },
      // The same conversations with turns that are as short as can be; PGSPLIT_TURNS=all: all of them.
      {
        test: {
          name: 'turns',
          include: inShortTurns,
          setupFiles: ['test/support/one-message-turns.ts'],
          testTimeout: 60_000,
          expect: patient,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/fault/**/*.test.ts'],
          testTimeout: 90_000,
          hookTimeout: 120_000,
          // They mostly wait for servers: two at a time take a little more than half of the time.
          maxWorkers: 2,
          expect: patient,
        },
      },
    ],
  },
})
