import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { runProgram } from '../support/run-program.ts'

/** Debian's packages belong to Debian's Python, whatever else stands first in the path. */
const python = process.env.PGSPLIT_TEST_PYTHON ?? '/usr/bin/python3'
const works = (file: string, ...args: string[]): boolean =>
  spawnSync(file, args, { stdio: 'ignore' }).status === 0

interface Example {
  /** What it is skipped without. */
  readonly needs?: { readonly what: string; readonly isThere: boolean }
  readonly says: readonly RegExp[]
  readonly rowsWritten: number
}

const examples: Readonly<Record<string, Example>> = {
  psql: {
    needs: { what: 'psql', isThere: works('psql', '--version') },
    says: [/primary: UPDATE writes/, /r[12]: proved read-only/, /session advisory lock/],
    rowsWritten: 2,
  },
  drizzle: {
    says: [
      /anna orders tea: +201 +primary/,
      /anna looks: +5 orders +(primary|r[12])/,
      /anna looks again: +5 orders +r[12]/,
      /ben looks: +[45] orders +r[12]/,
    ],
    rowsWritten: 2,
  },
  'node-postgres': {
    says: [
      /insert: +primary: INSERT writes/,
      /own orders: 5 /,
      /balance: +996\.00 /,
      /owners: +20/,
    ],
    rowsWritten: 2,
  },
  'postgres.js': {
    says: [
      /insert: +primary: INSERT writes/,
      /own order: coffee /,
      /begin: +primary/,
      /owners: +20/,
    ],
    rowsWritten: 2,
  },
  python: {
    needs: {
      what: 'python3-sqlalchemy, python3-psycopg2',
      isThere: works(python, '-c', 'import sqlalchemy, psycopg2'),
    },
    says: [
      /write: +primary: INSERT writes/,
      /(?:read: +5 orders, r[12]: READ ONLY transaction\n){5}/,
      /refused: 25006/,
    ],
    rowsWritten: 1,
  },
}

describe.each(Object.entries(examples))(
  'npm run example:%s',
  (name, { needs, says, rowsWritten }) => {
    const isMissing = needs?.isThere === false
    if (isMissing) console.log(`=== SKIPPED: npm run example:${name}: needs ${needs?.what}`)

    it.skipIf(isMissing)('writes on the primary and reads on the replicas', async () => {
      const { code, out, err } = await runProgram('npm', ['run', `example:${name}`], {
        PYTHON: python,
      })
      expect(err).toBe('')
      expect(code).toBe(0)
      for (const text of says) expect(out).toMatch(text)
      const counted = [...out.matchAll(/^(\w+): (\d+) scans, (\d+) rows written$/gm)].map(
        ([, node, scans, written]) => ({ node, scans: Number(scans), written: Number(written) }),
      )
      expect(counted.map(({ node, written }) => [node, written])).toEqual([
        ['primary', rowsWritten],
        ['replica1', 0],
        ['replica2', 0],
      ])
      expect(counted.slice(1).reduce((sum, { scans }) => sum + scans, 0)).toBeGreaterThan(0)
    })
  },
)

describe.skipIf(!works(python, '--version'))('npm run example:python', () => {
  it('says what is missing where the driver is not installed', async () => {
    // without the packages of the distribution
    const { code, err } = await runProgram(python, ['-S', 'examples/python/app.py'])
    expect(code).toBe(1)
    expect(err).toMatch(/No module named .*; Debian: python3-sqlalchemy/)
  })
})
