import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedError } from './embedded-error.ts'

/**
 * Waits until `condition` gives something truthy and gives it back. An exception counts as "not
 * yet" and is told if the time runs out.
 */
export async function waitUntil<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs: number,
  everyMs = 10,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value
      last = undefined
    } catch (error) {
      if (error instanceof EmbeddedError) throw error
      last = error
    }
    if (performance.now() >= deadline) {
      const why = last instanceof Error ? ` (${last.message})` : ''
      throw new EmbeddedError(`waited ${timeoutMs} ms in vain for ${what}${why}`, last)
    }
    await sleep(everyMs)
  }
}
