import * as z from 'zod'
import type { AdminSource } from '../admin/admin-source.ts'
import { showCommands } from '../admin/show-commands.ts'
import { actionRequests } from './action-requests.ts'
import { livePaths } from './openapi-live.ts'
import { failure, json, refusals, rowSchema } from './openapi-parts.ts'

/** What is shown under `/api/v1/`: all that SHOW shows, but its help. */
export const shownNames: readonly string[] = [...showCommands.keys()].filter(
  (name) => name !== 'help',
)

/** The description of `/api/v1/` (OpenAPI 3.1), made of what makes the answers. */
export function openApiDocument(source: AdminSource) {
  const shows = shownNames.map((name) => [`/api/v1/${name}`, showPath(name, source)] as const)
  const actions = [...actionRequests].map(
    ([name, { help, body }]) => [`/api/v1/${name}`, actionPath(name, help, body)] as const,
  )
  return {
    openapi: '3.1.0',
    info: {
      title: 'pgsplit',
      version: source.version(),
      description:
        "What the admin database shows and does. Rows have its columns' names; times are as there.",
    },
    security: [{ bearer: [] }, { basic: [] }],
    paths: {
      ...Object.fromEntries([...shows, ...actions]),
      ...livePaths(source),
      '/healthz': { get: probe('the process answers', false) },
      '/readyz': { get: probe('clients can be served', true) },
    },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        basic: { type: 'http', scheme: 'basic', description: 'an administrator and its password' },
      },
      schemas: { Error: errorSchema },
    },
  }
}

const errorSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['message'],
      properties: {
        message: { type: 'string' },
        hint: { type: 'string' },
        sqlstate: { type: 'string' },
      },
    },
  },
}

function showPath(name: string, source: AdminSource) {
  const rows = {
    type: 'object',
    required: ['rows'],
    properties: { rows: { type: 'array', items: rowSchema(name, source) } },
    additionalProperties: false,
  }
  return {
    get: {
      operationId: `show_${name}`,
      summary: showCommands.get(name)?.help ?? '',
      responses: { 200: { description: 'the rows', content: json(rows) }, ...refusals },
    },
  }
}

function actionPath(name: string, help: string, body: z.ZodType) {
  const { $schema, ...schema } = z.toJSONSchema(body, { io: 'input' })
  const done = {
    type: 'object',
    required: ['notices'],
    properties: { notices: { type: 'array', items: { type: 'string' } } },
    additionalProperties: false,
  }
  return {
    post: {
      operationId: name,
      summary: help,
      requestBody: { required: true, content: json(schema) },
      responses: {
        200: { description: 'it is done', content: json(done) },
        400: failure('the body is not what it takes'),
        404: failure('there is no such cluster, node or client'),
        409: failure('it could not be done, and nothing has changed'),
        503: failure('it could not be done now'),
        ...refusals,
      },
    },
  }
}

function probe(summary: string, mayFail: boolean) {
  return {
    summary,
    security: [],
    responses: {
      200: { description: summary },
      ...(mayFail ? { 503: { description: 'not now; the body tells why' } } : {}),
    },
  }
}
