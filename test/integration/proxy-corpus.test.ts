import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  debianBinDir,
  loadCorpusSchema,
  type ServerCluster,
  startServers,
  testProvider,
  waitFor,
} from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { corpusStatements, isRead } from '../unit/sql/corpus-statements.ts'

const binDir = debianBinDir()
const isThere = testProvider === 'containers' || binDir !== null

interface Case {
  readonly sql: string
  readonly expect: string
  readonly also_ok?: readonly string[]
  readonly setup?: readonly string[]
  readonly params?: readonly unknown[]
  readonly user?: string
}

/** What makes another statement of the corpus replica-safe: run behind all others. */
const isLast = ({ sql }: Case): boolean => sql === 'ALTER TABLE ul SET LOGGED'

/** Every statement runs under an application name of its own, which the nodes' logs show. */
const nameOf = (index: number): string => `corpus-${index}-`

describe.skipIf(!isThere)('the corpus (needs /usr/lib/postgresql/15 or containers)', () => {
  let cluster: ServerCluster
  let proxy: TestProxy

  beforeAll(async () => {
    cluster = await startServers({
      binDir: binDir ?? '',
      settings: { log_statement: 'all', log_line_prefix: '%a|' },
    })
    await loadCorpusSchema(cluster)
    const asServer = { password: 'unused', serverPassword: cluster.password }
    await cluster.primary.query(`ALTER ROLE alice PASSWORD '${cluster.password}'`)
    await cluster.catchUp()
    proxy = await startTestProxy(cluster, {
      auth: {
        method: 'trust',
        users: [
          { name: 'postgres', ...asServer },
          { name: 'alice', ...asServer },
        ],
      },
      // what a statement leaves behind must not meet the next one's reads
      routing: { consistency: 'eventual' },
      pool: { size: 4 },
    })
  })
  afterAll(async () => {
    await proxy?.stop()
    await cluster?.stop()
  })

  /** Statements that a node was sent under each name, sorted out of its log. */
  async function seenBy(names: readonly string[]): Promise<Set<string>> {
    const seen = new Set<string>()
    for (const name of names) {
      const log = await cluster.node(name).logTail(Number.POSITIVE_INFINITY)
      for (const line of log.split('\n')) {
        const at = line.indexOf('|')
        const isOurs = line.includes('pg_catalog.set_config($1, $2, false)')
        const isStatement = /^(LOG: {2}(statement|execute|fastpath)|STATEMENT: |ERROR: )/.test(
          line.slice(at + 1),
        )
        if (at > 0 && isStatement && !isOurs) seen.add(line.slice(0, at))
      }
    }
    return seen
  }

  /** The proxy trusts no read while it reads the catalog anew. */
  async function catalogIsLoaded(probe: pg.Client): Promise<void> {
    await waitFor('the catalog', async () => {
      await probe.query('SELECT count(*) FROM pg_class')
      const { rows } = await probe.query('SHOW pgsplit.last_route')
      return /^r[12]: /.test(rows[0]['pgsplit.last_route'])
    })
  }

  async function run(cases: readonly Case[], offset: number): Promise<void> {
    const probe = await proxy.client({}, { application_name: 'probe' })
    for (const [i, { sql, setup = [], params, user }] of cases.entries()) {
      await catalogIsLoaded(probe)
      const login = user === undefined ? {} : { user }
      const db = await proxy.client(login, { application_name: nameOf(offset + i) })
      for (const text of setup) await db.query(text).catch(() => {})
      await db.query(sql, params === undefined ? undefined : [...params]).catch(() => {})
      await db.end()
    }
    await probe.end()
  }

  it('reaches a replica with its reads, and with nothing else', async () => {
    const all = corpusStatements(cluster.version) as readonly Case[]
    const reads = all.filter((one) => isRead(one.expect as 'replica'))
    const writes = all.filter((one) => !isRead(one.expect as 'replica'))
    const others = [...writes.filter((one) => !isLast(one)), ...writes.filter(isLast)]
    await run(reads, 0)
    await run(others, reads.length)
    const atReplicas = await seenBy(['replica1', 'replica2'])
    const atAnyNode = await seenBy(['primary', 'replica1', 'replica2'])
    const misrouted = others
      .filter((one, i) => {
        const isAllowed = (one.also_ok ?? []).some((word) => isRead(word as 'replica'))
        // Its text alone tells nothing; the session knows that what it executes only reads.
        if (one.sql === 'EXECUTE p1(1)') return false
        return !isAllowed && atReplicas.has(nameOf(reads.length + i))
      })
      .map(({ sql }) => sql)
    expect(misrouted).toEqual([])
    // Texts without a statement need no node.
    const sent = reads
      .map((one, i) => ({ ...one, name: nameOf(i) }))
      .filter(({ name }) => atAnyNode.has(name))
    const lost = sent
      .filter(({ name, also_ok = [] }) => !atReplicas.has(name) && !also_ok.includes('primary'))
      .map(({ sql }) => sql)
    expect(sent.length).toBeGreaterThan(100)
    expect(lost.length / sent.length, lost.join('\n')).toBeLessThanOrEqual(0.03)
    // The witness works: what was sent elsewhere was seen elsewhere.
    const seenOthers = others.filter((_one, i) => atAnyNode.has(nameOf(reads.length + i)))
    expect(seenOthers.length / others.length).toBeGreaterThan(0.8)
  })
})
