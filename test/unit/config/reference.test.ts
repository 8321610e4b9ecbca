import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { monitorSql } from '../../../src/auth/role-sql.ts'
import { configJsonSchema } from '../../../src/config/json-schema.ts'
import { loadConfigFile } from '../../../src/config/load-config-file.ts'
import { referenceRows, withReference } from '../../../src/config/reference.ts'
import { packageVersion } from '../../../src/config/version.ts'

const root = new URL('../../../', import.meta.url)
const page = new URL('docs/operation/configuration.md', root)
const users = readFileSync(new URL('docs/start/users-and-tls.md', root), 'utf8')

describe('the reference', () => {
  it('describes every option, with its default', () => {
    const rows = referenceRows()
    expect(rows.length).toBeGreaterThan(50)
    for (const row of rows) expect(row.description, row.path).not.toBe('')
    expect(rows.find((row) => row.path === 'clusters.<name>.routing.maxLag')).toEqual({
      path: 'clusters.<name>.routing.maxLag',
      default: '`10s`',
      description:
        'How far a replica may lag behind the primary and still serve reads. (duration) At the limit: The replica gets no reads until it is within `maxLagResume` again.',
    })
  })

  it('stands in docs/ as it is now (vitest -u writes it there)', async () => {
    const wanted = withReference(readFileSync(page, 'utf8'))
    expect(wanted).toContain('| option | default | meaning |')
    await expect(wanted).toMatchFileSnapshot(page.pathname)
  })

  it("repeats the monitor's SQL in docs/ word for word, and once", () => {
    const sql = monitorSql({ password: 'secret' }).trimEnd()
    expect(users.split(`\`\`\`sql\n${sql}\n\`\`\``)).toHaveLength(2)
    expect(users.match(/CREATE ROLE/g)).toHaveLength(1)
  })
})

describe('the JSON Schema', () => {
  it('knows the options, their types and defaults, and allows no other', () => {
    expect(configJsonSchema()).toMatchObject({
      title: 'pgsplit',
      required: ['clusters'],
      additionalProperties: false,
      properties: {
        limits: {
          additionalProperties: false,
          properties: {
            authTimeout: { default: '15s', type: ['string', 'number'], 'x-unit': 'duration' },
          },
        },
      },
    })
  })
})

describe('the example configuration', () => {
  it('is valid', () => {
    const path = new URL('examples/config/pgsplit.yaml', root).pathname
    const config = loadConfigFile(path, { env: { MONITOR_PASSWORD: 'x' } })
    expect(config.clusters[0]?.nodes.length).toBeGreaterThan(2)
  })
})

it('the version is that of package.json', () => {
  const manifest = new URL('../../../package.json', import.meta.url)
  expect(packageVersion()).toBe(JSON.parse(readFileSync(manifest, 'utf8')).version)
})
