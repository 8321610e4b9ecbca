import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate } from '../../support/certificates.ts'
import { debianBinDir, type EmbeddedCluster, startCluster, waitFor } from '../../support/cluster.ts'
import { runProgram } from '../../support/run-program.ts'

const binDir = debianBinDir()
const program = new URL('../../support/runtime-child.ts', import.meta.url).pathname

/** Other runtimes than Node.js, as npm has them. */
const runtimes = {
  deno: ['deno@2.9.6', 'run', '-A', '--node-modules-dir=manual', '--unstable-sloppy-imports'],
  bun: ['bun@1.4.5', 'run'],
} as const

describe.skipIf(binDir === null)('the in-process door on other runtimes (needs Debian 15)', () => {
  let cluster: EmbeddedCluster
  let directory: string

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pgsplit-runtimes-'))
    writeFileSync(join(directory, 'package.json'), '{ "private": true }')
    const packages = Object.values(runtimes).map(([name]) => name)
    const [installed] = await Promise.all([
      runProgram('npm', [
        ...['install', '--prefix', directory, '--prefer-offline', '--no-audit', '--no-fund'],
        ...packages,
      ]),
      startCluster({ replicas: 1, ...(binDir === null ? {} : { binDir }) }).then((started) => {
        cluster = started
      }),
    ])
    if (installed.code !== 0) throw new Error(installed.err)
    const server = makeCertificate({ commonName: 'localhost', dnsNames: ['localhost'] })
    for (const node of cluster.nodes) {
      await node.writeFiles({ 'tls.crt': server.pem, 'tls.key': server.keyPem })
      await node.configure({ ssl: 'on', ssl_cert_file: 'tls.crt', ssl_key_file: 'tls.key' })
      await node.reload()
      await waitFor('TLS', async () => (await node.query('SHOW ssl'))[0]?.ssl === 'on')
    }
  })
  afterAll(async () => {
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  describe.each(Object.keys(runtimes) as (keyof typeof runtimes)[])('%s', (runtime) => {
    it.each([
      ['pg', 'disable'],
      ['pg', 'require'],
      ['postgres.js', 'disable'],
      ['postgres.js', 'require'],
    ])('with %s and sslmode=%s', async (driver, sslmode) => {
      const [, ...flags] = runtimes[runtime]
      const urls = cluster.nodes.map(({ url }) => `${url}?sslmode=${sslmode}`)
      const { out, err } = await runProgram(join(directory, 'node_modules/.bin', runtime), [
        ...[...flags, program, driver],
        ...urls,
      ])
      expect(JSON.parse(out || JSON.stringify(err))).toEqual([
        [{ one: 1 }],
        [{ ssl: sslmode === 'require' }],
        [{ two: 2 }],
      ])
    })
  })
})
