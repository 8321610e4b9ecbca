import * as z from 'zod'
import { configSchema } from './schema.ts'

let made: Readonly<Record<string, unknown>> | undefined

/**
 * The JSON Schema (draft 2020-12) of a configuration file, for editors and checks in CI.
 * `x-unit`, `x-limit` and `x-default` carry what the standard has no keyword for.
 */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  made ??= { ...z.toJSONSchema(configSchema, { io: 'input' }), title: 'pgsplit' }
  return made
}
