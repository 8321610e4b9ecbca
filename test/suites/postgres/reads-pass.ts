import pg from 'pg'
import type { EmbeddedCluster } from '../../support/cluster.ts'
import { tagged } from '../../support/node-log.ts'
import {
  bind,
  describe,
  execute,
  message,
  RawClient,
  type RawMessage,
  sync,
} from '../../support/raw-client.ts'
import { isNewerBug } from './older-servers.ts'
import { piecesOf } from './psql-script.ts'
import { regressScripts, runSuite, type SuiteServers, type SuiteTarget } from './run-suite.ts'

/** One statement of a file's session. */
export interface ReadStep {
  readonly file: string
  readonly text: string
  /** Not SET or RESET. */
  readonly isRead: boolean
}

export type Protocol = 'simple' | 'extended'

/** Dropped all the same: what would get in the way of everything that comes later. */
const mustGo =
  /^drop\s+(event\s+trigger|subscription|publication|database|tablespace|cast|operator|aggregate|access\s+method|transform|(procedural\s+)?language|trigger|rule|role|user|group|owned)\b/i

/**
 * Builds the database of the regression suite so that what its files make stays there, and lets it
 * settle: everything analyzed, and on the replicas.
 */
export async function buildRegression(
  servers: SuiteServers,
  cluster: EmbeddedCluster,
): Promise<string> {
  const target = { port: cluster.primary.port, password: cluster.password }
  const { log } = await runSuite('regress', servers, target, { rewrite: withoutDrops })
  await settle(cluster)
  await cluster.catchUp()
  return log
}

/** Tables one by one: some of the suite's have an index whose function makes ANALYZE fail. */
async function settle({ primary }: EmbeddedCluster): Promise<void> {
  const client = new pg.Client({ connectionString: primary.url })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'm', 'p')",
    )
    for (const { name } of rows) {
      await client.query(`VACUUM (FREEZE, ANALYZE) ${name}`).catch(() => {})
    }
  } finally {
    await client.end()
  }
}

function withoutDrops(script: string): string {
  return piecesOf(script)
    .filter(({ kind, text }) => kind !== 'statement' || !isLeftOut(text))
    .map(({ source }) => source)
    .join('')
}

function isLeftOut(text: string): boolean {
  return /^drop\s/i.test(text) && !mustGo.test(text)
}

/**
 * All reads of the suite with the SETs and RESETs between them, file by file. Files that use
 * currval() come last: from then on sessions that may have called nextval() keep their connection.
 */
export function readSteps(version: 15 | 18): readonly ReadStep[][] {
  const usesCurrval = (script: string) => (/\b(currval|lastval)\b/i.test(script) ? 1 : 0)
  const scripts = [...regressScripts(version)].sort(
    ([, a], [, b]) => usesCurrval(a) - usesCurrval(b),
  )
  return scripts.map(([file, script]) =>
    piecesOf(script).flatMap(({ kind, text }) => {
      if (kind !== 'statement' || isNewerBug(text)) return []
      const word = /^[\s(]*(\w+)/.exec(text)?.[1]?.toLowerCase() ?? ''
      const isRead = ['select', 'with', 'values', 'table', 'explain'].includes(word)
      return isRead || word === 'set' || word === 'reset' ? [{ file, text, isRead }] : []
    }),
  )
}

/** As pg_regress has its clients set it. */
const parameters = {
  TimeZone: 'America/Los_Angeles',
  DateStyle: 'Postgres, MDY',
  options: '-c intervalstyle=postgres_verbose',
}

/**
 * Runs all files, each as one session, one statement at a time. Gives what each statement was
 * answered. `tag`: a comment behind each text, by which the servers' logs know it. `ready`: what to
 * wait for before each file, as what some of them call makes and drops objects.
 */
export async function runReads(
  files: readonly (readonly ReadStep[])[],
  protocol: Protocol,
  { port, password }: SuiteTarget,
  tag: string,
  ready: () => Promise<unknown> = async () => {},
): Promise<string[]> {
  const answers: string[] = []
  for (const file of files) {
    await ready()
    const login = { port, user: 'postgres', password, database: 'regression', parameters }
    const client = await RawClient.logIn(login)
    for (const { text } of file) {
      const frames = framesOf(`${text}\n${tagged(tag, answers.length)}`, protocol)
      client.send(...frames)
      answers.push(await answerOf(client))
    }
    client.send(message('X'))
    client.end()
  }
  return answers
}

function framesOf(text: string, protocol: Protocol): Buffer[] {
  const bytes = Buffer.from(`${text}\0`, 'latin1')
  if (protocol === 'simple') return [message('Q', bytes)]
  const parsed = message('P', '', bytes, 0)
  return [parsed, bind('', ''), describe('P'), execute(), sync]
}

async function answerOf(client: RawClient): Promise<string> {
  if (client.isClosed) return 'closed'
  try {
    return textOf(await client.until('Z', 60_000))
  } catch (error) {
    if (client.isClosed) return 'closed'
    throw error
  }
}

/** Settings are reported when a client's change, at whichever moment. */
function textOf(messages: readonly RawMessage[]): string {
  return messages
    .filter(({ type }) => type !== 'S' && type !== 'A')
    .map(({ type, body }) => `${type} ${body.toString('latin1')}`)
    .join('\n')
}
