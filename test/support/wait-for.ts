import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Polls until `condition` gives something truthy and gives it back. Fails with what was waited for,
 * the last value or the last exception, after `timeoutMs`.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 30_000,
  everyMs = 20,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    let last: string
    try {
      const value = await condition()
      if (value) return value
      last = `last value: ${JSON.stringify(value)}`
    } catch (error) {
      last = `last error: ${error instanceof Error ? error.message : String(error)}`
    }
    if (performance.now() >= deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}; ${last}`)
    }
    await sleep(everyMs)
  }
}
