import fc from 'fast-check'
import { loadModule, parseSync } from 'libpg-query'
import { beforeAll, describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import { splitStatements } from '../../../src/sql/split.ts'
import type { Effect } from '../../../src/sql/statement-class.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { classOf, corpusStatements } from './corpus-statements.ts'

const classifier = new Classifier()
classifier.setCatalog(recordedCatalog())

/** Statement kinds of PostgreSQL's grammar → the effects of which our class must show one. */
const EXPECTED: Readonly<Record<string, readonly Effect['kind'][]>> = {
  TRANS_STMT_BEGIN: ['begin'],
  TRANS_STMT_START: ['begin'],
  TRANS_STMT_COMMIT: ['commit'],
  TRANS_STMT_ROLLBACK: ['rollback'],
  TRANS_STMT_SAVEPOINT: ['savepoint'],
  TRANS_STMT_RELEASE: ['release'],
  TRANS_STMT_ROLLBACK_TO: ['rollback-to'],
  TRANS_STMT_PREPARE: ['prepare-transaction'],
  VariableSetStmt: ['set', 'reset', 'reset-all', 'set-transaction'],
  VariableShowStmt: ['show'],
  PrepareStmt: ['prepare'],
  ExecuteStmt: ['execute'],
  DeallocateStmt: ['deallocate'],
  ListenStmt: ['listen'],
  UnlistenStmt: ['unlisten'],
  DiscardStmt: ['discard'],
  DeclareCursorStmt: ['declare'],
  FetchStmt: ['fetch'],
  ClosePortalStmt: ['close-cursor'],
  LoadStmt: ['load'],
  CopyStmt: ['copy'],
  CreateStmt: ['ddl', 'temp'],
  ViewStmt: ['ddl', 'temp'],
  CreateFunctionStmt: ['ddl'],
  AlterTableStmt: ['ddl'],
  DropStmt: ['ddl'],
  AlterSystemStmt: ['alter-defaults'],
  AlterRoleSetStmt: ['alter-defaults'],
  AlterDatabaseSetStmt: ['alter-defaults'],
}

type Node = Readonly<Record<string, unknown>>

/** Statements as PostgreSQL splits them: the kind of each; null when they aren't valid. */
function statementKinds(sql: string): string[] | null {
  if (sql.trim() === '') return []
  let tree: unknown
  try {
    tree = parseSync(sql)
  } catch {
    return null
  }
  const statements = (tree as { stmts?: { stmt?: Node }[] }).stmts ?? []
  return statements.map(({ stmt = {} }) => {
    const kind = Object.keys(stmt)[0] ?? ''
    const body = stmt[kind] as Node
    return kind === 'TransactionStmt' ? String(body.kind) : kind
  })
}

function assertAgrees(sql: string): void {
  const kinds = statementKinds(sql)
  if (kinds === null) return
  const cls = classOf(classifier, sql)
  expect({ sql, parts: cls.parts.length }).toEqual({ sql, parts: kinds.length })
  kinds.forEach((kind, i) => {
    const expected = EXPECTED[kind]
    if (expected === undefined) return
    const part = cls.parts[i]
    const shown = part?.effects.map((effect) => effect.kind) ?? []
    // SET CONSTRAINTS and SET SEED leave nothing to track.
    const settled = part?.verdict === 'primary' || part?.pin !== null
    const found =
      expected.some((effect) => shown.includes(effect)) || (shown.length === 0 && settled)
    expect({ sql, kind, shown, found }).toEqual({ sql, kind, shown, found: true })
  })
}

const SESSION_TEXTS = [
  'BEGIN',
  'begin work read only',
  'START TRANSACTION ISOLATION LEVEL SERIALIZABLE',
  'COMMIT',
  'END TRANSACTION',
  'ROLLBACK',
  'ABORT AND CHAIN',
  'SAVEPOINT a',
  'RELEASE b',
  'ROLLBACK TO "A b"',
  "PREPARE TRANSACTION 'x'",
  "SET a.b = 'x;y'",
  'SET LOCAL work_mem TO DEFAULT',
  'RESET ALL',
  'SET search_path TO a, "B;"',
  'SET SESSION AUTHORIZATION x',
  'RESET SESSION AUTHORIZATION',
  'SET TIME ZONE LOCAL',
  "SET TIME ZONE INTERVAL '1' HOUR",
  "SET NAMES 'utf8'",
  'RESET a.b',
  'SET ROLE NONE',
  'SET TRANSACTION READ ONLY',
  'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
  'SHOW ALL',
  'SHOW TIME ZONE',
  'PREPARE p AS SELECT 1',
  'PREPARE p (int, text) AS DELETE FROM t',
  'EXECUTE p (1)',
  'DEALLOCATE ALL',
  'DEALLOCATE PREPARE p',
  'LISTEN a',
  'UNLISTEN *',
  'NOTIFY a',
  'DISCARD TEMPORARY',
  'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
  'FETCH ALL FROM c',
  'MOVE c',
  'CLOSE ALL',
  "LOAD 'x'",
  'COPY t TO STDOUT',
  'COPY t (id) FROM STDIN',
  "COPY t FROM '/x'",
  'CREATE TEMP TABLE x (a int)',
  'CREATE TABLE x (a int)',
  'CREATE VIEW x AS SELECT 1',
  'CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END',
  'ALTER TABLE t ADD a int',
  'DROP TABLE t',
  "ALTER SYSTEM SET a = 'x'",
  "ALTER ROLE r SET a = 'b'",
  'CREATE RULE r AS ON DELETE TO t DO ALSO (SELECT 1; SELECT 2)',
  'SET transaction_read_only = on',
  'SET session.x = 1',
  'SET CONSTRAINTS ALL IMMEDIATE',
  'RESET TIME ZONE',
  'SET x.y FROM CURRENT',
  'SHOW TRANSACTION ISOLATION LEVEL',
  'SET XML OPTION CONTENT',
  "SET SCHEMA 'a'",
  'SHOW a.b',
]

beforeAll(loadModule)

describe("effects beside PostgreSQL's own grammar", { timeout: 600_000 }, () => {
  it('shows one for every statement of the corpus that changes the session', () => {
    for (const { sql } of corpusStatements()) assertAgrees(sql)
  })

  it('shows one for every command, in every order and spacing', () => {
    const piece = fc.constantFrom(...SESSION_TEXTS, ...corpusStatements().map(({ sql }) => sql))
    const gap = fc.constantFrom(';', ' ; ', ';\n--x\n', ';;/* ; */')
    const text = fc
      .array(fc.tuple(piece, gap), { minLength: 1, maxLength: 4 })
      .map((pieces) => pieces.flat().join(''))
    fc.assert(fc.property(text, assertAgrees), { numRuns: 1500 })
  })

  it('splits texts where PostgreSQL splits them', () => {
    const text =
      "SELECT 1 ; ; SELECT (';') -- ;\n; CREATE RULE r AS ON DELETE TO t DO (SELECT 1; SELECT 2);"
    const bytes = Buffer.from(text)
    const statements = splitStatements(bytes, 0, bytes.length)
    expect(statements?.map(([from, to]) => text.slice(from, to))).toEqual([
      'SELECT 1',
      "SELECT (';')",
      'CREATE RULE r AS ON DELETE TO t DO (SELECT 1; SELECT 2)',
    ])
  })
})
