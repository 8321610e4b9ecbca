import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../../src/drizzle/index.ts'
import { pgDriver } from '../../../src/drizzle/node-postgres/pg-driver.ts'
import { createSessions as createJsSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { makeCertificate, writeCertificate } from '../../support/certificates.ts'
import { debianBinDir, type EmbeddedCluster, startCluster, waitFor } from '../../support/cluster.ts'

const binDir = debianBinDir()
const drivers = { 'node-postgres': createSessions, 'postgres.js': createJsSessions }

describe.skipIf(binDir === null)('sessions over TLS (need /usr/lib/postgresql/15)', () => {
  let cluster: EmbeddedCluster
  let directory: string
  const authorities = { ca: '', other: '' }

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'sessions-tls-'))
    cluster = await startCluster({ replicas: 1, ...(binDir === null ? {} : { binDir }) })
    const authority = makeCertificate({ commonName: 'Test CA', isAuthority: true })
    const other = makeCertificate({ commonName: 'Other CA', isAuthority: true })
    authorities.ca = writeCertificate(directory, 'ca', authority).certFile
    authorities.other = writeCertificate(directory, 'other', other).certFile
    const server = makeCertificate({
      commonName: 'server',
      issuer: authority,
      dnsNames: ['localhost'],
      keyType: 'rsa',
    })
    await cluster.primary.query(
      `CREATE ROLE app LOGIN PASSWORD 'secret'; GRANT pg_monitor TO app;
       CREATE ROLE loose LOGIN; CREATE ROLE plain LOGIN PASSWORD 'secret'`,
    )
    await cluster.catchUp()
    for (const node of cluster.nodes) {
      await node.writeFiles({
        'pg_hba.conf':
          'local all all trust\nhostnossl all app all reject\nhost all loose all trust\nhost all plain all password\nhost all all all scram-sha-256\nhost replication all all scram-sha-256\n',
        'tls.crt': server.pem,
        'tls.key': server.keyPem,
      })
      await node.configure({ ssl: 'on', ssl_cert_file: 'tls.crt', ssl_key_file: 'tls.key' })
      await node.reload()
      await waitFor(
        `TLS of ${node.name}`,
        async () => (await node.query('SHOW ssl'))[0]?.ssl === 'on',
      )
    }
  })
  afterAll(async () => {
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  describe('with channel_binding=require', () => {
    const url = () =>
      `postgres://app:secret@localhost:${cluster.primary.port}/postgres?sslmode=require&channel_binding=require`

    it('are of use on node-postgres, and refused on postgres.js with a way out', async () => {
      await using sessions = createSessions({ primary: url() })
      expect(await sessions.getSession(true).execute(sql`SELECT 1 AS one`)).toBeDefined()
      expect(() => createJsSessions({ primary: url() })).toThrow(
        /^the URL of localhost:\d+ has channel_binding=require, which postgres\.js can't do; use pgsplit\/drizzle/,
      )
    })

    const open = (user: string, isTls = true) =>
      pgDriver({})
        .connector({
          host: 'localhost',
          port: cluster.primary.port,
          user,
          password: 'secret',
          database: 'postgres',
          ssl: isTls && { rejectUnauthorized: false },
          isDirectTls: false,
          isBound: true,
        })
        .open(10_000, () => {})

    it('log in by nothing that is not bound', async () => {
      const connection = await open('app')
      await (connection as pg.Client).end()
      await expect(open('loose')).rejects.toThrow('the server let us in without it')
      await expect(open('plain')).rejects.toThrow('the server asks for a password in the clear')
      // Without TLS the server has nothing to bind to.
      await expect(open('postgres', false)).rejects.toThrow('the server does not offer it')
    })
  })

  const start = (driver: keyof typeof drivers, sslmode: string, sslrootcert?: string) => {
    const root = sslrootcert === undefined ? '' : `&sslrootcert=${sslrootcert}`
    const urlOf = ({ port }: { readonly port: number }) =>
      `postgres://app:secret@localhost:${port}/postgres?sslmode=${sslmode}${root}`
    // Both take the same options.
    const create = drivers[driver] as typeof createSessions
    return create({
      primary: urlOf(cluster.primary),
      replicas: cluster.replicas.map(urlOf),
      failover: { holdWrites: '0' },
    })
  }
  describe.each(Object.keys(drivers) as (keyof typeof drivers)[])('on %s', (driver) => {
    it.each(['prefer', 'require', 'verify-full'])('encrypt with sslmode %s', async (sslmode) => {
      await using sessions = start(
        driver,
        sslmode,
        sslmode === 'verify-full' ? authorities.ca : undefined,
      )
      expect(await sessions.getSession().execute(sql`SELECT 1 AS one`)).toBeDefined()
      await sessions.getSession(true).execute(sql`SELECT 1 AS one`)
      for (const node of cluster.nodes) {
        const rows = await node.query(
          `SELECT count(*)::int AS n, bool_and(ssl) AS all FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
           WHERE usename = 'app'`,
        )
        expect(rows[0]?.n).toBeGreaterThan(0)
        expect(rows[0]?.all).toBe(true)
      }
    })

    it('refuse a server whose certificate is of another authority', async () => {
      await using sessions = start(driver, 'verify-full', authorities.other)
      await expect(sessions.getSession(true).execute(sql`SELECT 1`)).rejects.toThrow()
      expect(sessions.snapshot().nodes.every(({ connections }) => connections === 0)).toBe(true)
    })
  })
})
