import type { AdminSource } from '../admin/admin-source.ts'
import { failure, json, refusals, rowSchema } from './openapi-parts.ts'

/** The paths of `live-routes.ts`, as the description has them. */
export function livePaths(source: AdminSource) {
  const { properties, required, ...row } = rowSchema('clients', source)
  const { type, ...own } = properties
  const client = { ...row, required: required.filter((name) => name !== 'type'), properties: own }
  return {
    '/api/v1/live': {
      get: {
        operationId: 'live',
        summary: 'what each second brings, as server-sent events: `hello`, then `tick`',
        responses: {
          200: {
            description: 'a stream that ends after some minutes: ask again',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          503: failure('too many look already'),
          ...refusals,
        },
      },
    },
    '/api/v1/history': {
      get: {
        operationId: 'history',
        summary: 'what was plotted in the last hour, a row of numbers for each second',
        parameters: [queryNumber('seconds', 3600)],
        responses: {
          200: {
            description:
              'little-endian: length of a JSON text (uint32), the text (`rows`, `columns`), times (float64, ms since 1970), then each column (float32, NaN: unknown)',
            content: { 'application/octet-stream': { schema: { type: 'string' } } },
          },
          ...refusals,
        },
      },
    },
    '/api/v1/sessions': {
      get: {
        operationId: 'sessions',
        summary: 'some of the clients: who waits and who is pinned comes first',
        parameters: [queryNumber('limit', 1000)],
        responses: {
          200: { description: 'the clients', content: json(sessions(client)) },
          ...refusals,
        },
      },
    },
    '/api/v1/statement_history': {
      get: {
        operationId: 'statement_history',
        summary: 'how a statement has run in the last hour, in steps',
        parameters: ['cluster', 'id'].map((name) => {
          return { name, in: 'query', required: true, schema: { type: 'string' } }
        }),
        responses: {
          200: { description: 'the oldest first; null: unknown', content: json(statementHistory) },
          404: failure('there is no such statement any more'),
          ...refusals,
        },
      },
    },
  }
}

function queryNumber(name: string, maximum: number) {
  return { name, in: 'query', schema: { type: 'integer', minimum: 1, maximum, default: maximum } }
}

function sessions(client: object) {
  return {
    type: 'object',
    required: ['total', 'pinned', 'rows'],
    properties: {
      total: { type: 'integer' },
      pinned: { type: 'object', additionalProperties: { type: 'integer' } },
      rows: { type: 'array', items: client },
    },
    additionalProperties: false,
  }
}

const numbers = { type: 'array', items: { type: ['number', 'null'] } }

const statementHistory = {
  type: 'object',
  required: ['stepMs', 'atMs', 'primary', 'replicas', 'meanMs'],
  properties: {
    stepMs: { type: 'integer' },
    atMs: { type: 'number' },
    primary: numbers,
    replicas: numbers,
    meanMs: numbers,
  },
  additionalProperties: false,
}
