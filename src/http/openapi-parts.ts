import type { AdminSource } from '../admin/admin-source.ts'
import type { ColumnType } from '../admin/result.ts'
import { showCommands } from '../admin/show-commands.ts'

const types = { text: 'string', int8: 'integer', float8: 'number' } satisfies Record<
  ColumnType,
  string
>

/** What an answer has. */
export const json = (schema: unknown) => ({ 'application/json': { schema } })

/** An answer that says what was wrong. */
export const failure = (description: string) => ({
  description,
  content: json({ $ref: '#/components/schemas/Error' }),
})

/** What every path may answer that is not for everybody. */
export const refusals = {
  401: failure('no token and no password that count'),
  403: failure('only for operators, or from another origin'),
  429: failure('too many wrong tokens or passwords; see Retry-After'),
}

/** The schema of a row of that SHOW. */
export function rowSchema(name: string, source: AdminSource) {
  const columns = showCommands.get(name)?.run(source).columns ?? []
  const properties = Object.fromEntries(
    columns.map((column) => [column.name, { type: [types[column.type], 'null'] }]),
  )
  return {
    type: 'object',
    required: columns.map((column) => column.name),
    properties,
    additionalProperties: false,
  }
}
