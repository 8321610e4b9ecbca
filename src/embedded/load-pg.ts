import type pg from 'pg'
import { EmbeddedError } from './embedded-error.ts'

/**
 * node-postgres, which is an optional peer of pgsplit. Rejects with EmbeddedError that says how it
 * comes, where it isn't there.
 */
export async function loadPg(): Promise<typeof pg> {
  try {
    return (await import('pg')).default
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new EmbeddedError(
      'pgsplit/testing and pgsplit demo need the package pg, which is not installed; npm install --save-dev pg',
      error,
    )
  }
}
