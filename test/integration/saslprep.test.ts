import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveScramKeys } from '../../src/auth/scram-keys.ts'
import { parseScramVerifier } from '../../src/auth/stored-secret.ts'
import * as tables from '../../src/auth/stringprep-tables.ts'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ replicas: 0 })
  await cluster.primary.query(`CREATE ROLE prepared;
    CREATE FUNCTION verifiers(texts text[]) RETURNS SETOF text LANGUAGE plpgsql
      SET scram_iterations = 1 SET password_encryption = 'scram-sha-256' AS $$
    DECLARE password text;
    BEGIN
      FOREACH password IN ARRAY texts LOOP
        EXECUTE format('ALTER ROLE prepared PASSWORD %L', password);
        RETURN QUERY SELECT rolpassword FROM pg_authid WHERE rolname = 'prepared';
      END LOOP;
    END $$`)
})

afterAll(() => cluster?.stop())

/** Where a table changes, and the code points beside it. */
function edges(): number[] {
  const points = Object.values(tables).flatMap((differences) => {
    let point = 0
    return differences.split(' ').flatMap((distance) => {
      point += Number.parseInt(distance, 16)
      return [point - 1, point, point + 1]
    })
  })
  const isText = (point: number): boolean =>
    point > 0 && point < 0x110000 && !(point >= 0xd800 && point < 0xe000)
  return [...new Set(points)].filter(isText)
}

describe('passwords with any characters', () => {
  it('are hashed as PostgreSQL hashes them', async () => {
    const texts = edges().flatMap((point) => {
      const character = String.fromCodePoint(point)
      return [character, `é${character}x`, `\u05d0${character}\u05d0`, `\u05d0${character}`]
    })
    const rows = await cluster.primary.query('SELECT verifiers($1) AS verifier', [texts])
    expect(rows).toHaveLength(texts.length)
    const differing: string[] = []
    for (const [at, { verifier }] of rows.entries()) {
      const stored = parseScramVerifier(String(verifier))
      if (stored === null) throw new Error(`no verifier: ${verifier}`)
      const text = texts[at] as string
      const { storedKey } = await deriveScramKeys(text, stored.salt, stored.iterations)
      if (!storedKey.equals(stored.storedKey)) differing.push(named(text))
    }
    expect(differing).toEqual([])
  })
})

function named(text: string): string {
  return [...text].map((one) => `U+${one.codePointAt(0)?.toString(16)}`).join(' ')
}
