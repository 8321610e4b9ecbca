import { type Conversation, hear, q, qs, talk, x } from '../../../support/conversation.ts'
import {
  bind,
  describe,
  execute,
  flush,
  parse,
  query,
  quick,
  run,
} from '../../../support/conversation-frames.ts'

const modes: readonly string[] = [
  'BEGIN',
  'BEGIN WORK',
  'START TRANSACTION',
  'BEGIN READ ONLY',
  'BEGIN READ WRITE',
  'BEGIN ISOLATION LEVEL SERIALIZABLE',
  'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
  'BEGIN ISOLATION LEVEL READ UNCOMMITTED',
  'BEGIN SERIALIZABLE',
  'START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE',
  'BEGIN NOT DEFERRABLE',
  'BEGIN TRANSACTION READ ONLY, READ WRITE',
]
/** What may happen inside; `T` is the conversation's table. */
const bodies: readonly (readonly string[])[] = [
  ['SELECT 1', 'COMMIT'],
  ['SHOW transaction_isolation', 'SHOW transaction_read_only', 'COMMIT'],
  ["INSERT INTO T VALUES (1, 'a')", 'SELECT * FROM T', 'COMMIT'],
  ["INSERT INTO T VALUES (2, 'b')", 'SELECT 1/0', 'SELECT * FROM T', 'COMMIT'],
  [
    'SELECT count(*) FROM T',
    'SAVEPOINT s',
    "INSERT INTO T VALUES (3, 'c')",
    'ROLLBACK TO s',
    'SELECT count(*) FROM T',
    'RELEASE s',
    'COMMIT',
  ],
  ['SET TRANSACTION READ ONLY', 'SELECT 1', "INSERT INTO T VALUES (4, 'd')", 'ROLLBACK'],
  ['SELECT 1', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'ROLLBACK'],
  [
    'COMMIT AND CHAIN',
    'SHOW transaction_isolation',
    'SHOW transaction_read_only',
    'ROLLBACK AND CHAIN',
    'SELECT 1',
    'END',
  ],
  ['BEGIN', 'SELECT 1', 'COMMIT', 'COMMIT'],
  ['LOCK TABLE T IN ACCESS EXCLUSIVE MODE', 'ABORT'],
]

const modeTalks = modes.flatMap((begin, i) => [
  talk(
    `${begin}, all that may follow`,
    [
      ...bodies.flatMap((body) =>
        qs(begin, ...body.map((text) => text.replaceAll(/\bT\b/g, `txa${i}`))),
      ),
      q(`SELECT * FROM txa${i} ORDER BY id`),
    ],
    { fixture: `CREATE TABLE txa${i} (id int, name text)` },
  ),
  talk(
    `${begin}, extended`,
    [
      ...bodies.flatMap((body) => [
        x(...run(begin)),
        ...body.map((text) => x(...run(text.replaceAll(/\bT\b/g, `txb${i}`)))),
      ]),
      q(`SELECT * FROM txb${i} ORDER BY id`),
    ],
    { fixture: `CREATE TABLE txb${i} (id int, name text)` },
  ),
  talk(
    `${begin}, in one write each`,
    bodies.map((body) =>
      hear(
        'Z',
        body.length + 1,
        query(begin),
        ...body.map((text) => query(text.replaceAll(/\bT\b/g, `txc${i}`))),
      ),
    ),
    { fixture: `CREATE TABLE txc${i} (id int, name text)` },
  ),
  talk(
    `${begin}, in one text each`,
    bodies.map((body) =>
      q([begin, ...body.map((text) => text.replaceAll(/\bT\b/g, `txd${i}`))].join('; ')),
    ),
    { fixture: `CREATE TABLE txd${i} (id int, name text)` },
  ),
])

export const transactionTalks: readonly Conversation[] = [
  ...modeTalks,
  talk(
    'nothing inside',
    qs('BEGIN', 'COMMIT', 'BEGIN', 'ROLLBACK', 'BEGIN READ ONLY', 'END', 'BEGIN', '', 'COMMIT'),
  ),
  talk(
    'bad modes',
    qs(
      'BEGIN ISOLATION LEVEL CHAOS',
      'SELECT 1',
      'START',
      'BEGIN',
      'BEGIN READ',
      'SELECT 1',
      'ROLLBACK',
    ),
  ),
  talk(
    'savepoints of one name',
    qs(
      'BEGIN',
      'SAVEPOINT a',
      'SAVEPOINT a',
      'RELEASE a',
      'ROLLBACK TO a',
      'RELEASE a',
      'RELEASE a',
      'ROLLBACK',
    ),
  ),
  talk(
    'savepoints and errors',
    qs(
      'BEGIN',
      'SAVEPOINT a',
      'SELECT 1/0',
      'SELECT 1',
      'SAVEPOINT b',
      'ROLLBACK TO a',
      'SELECT 2',
      'ROLLBACK TO nothing',
      'COMMIT',
    ),
  ),
  talk(
    'a failed COMMIT',
    qs(
      'BEGIN',
      'INSERT INTO deferred VALUES (1, 99)',
      'COMMIT',
      'SELECT count(*) FROM deferred',
      'BEGIN',
      'INSERT INTO deferred VALUES (1, 99)',
      'SET CONSTRAINTS ALL IMMEDIATE',
      'COMMIT',
    ),
    {
      fixture:
        'CREATE TABLE deferred (id int PRIMARY KEY, up int REFERENCES deferred DEFERRABLE INITIALLY DEFERRED)',
    },
  ),
  talk(
    'a failed COMMIT, extended',
    [
      x(...quick('BEGIN')),
      x(...quick('INSERT INTO deferred2 VALUES (1, 99)')),
      x(...quick('COMMIT')),
      x(...quick('SELECT count(*) FROM deferred2')),
      x(...quick('INSERT INTO deferred2 VALUES (1, 99)')),
      x(...quick('INSERT INTO deferred2 VALUES (1, 1)'), ...quick('SELECT 1/0')),
      x(...quick('SELECT count(*) FROM deferred2')),
    ],
    {
      fixture:
        'CREATE TABLE deferred2 (id int PRIMARY KEY, up int REFERENCES deferred2 DEFERRABLE INITIALLY DEFERRED)',
    },
  ),
  talk(
    'two-phase commit',
    qs(
      'BEGIN',
      'INSERT INTO twophase VALUES (1)',
      "PREPARE TRANSACTION 'compare 1'",
      'SELECT count(*) FROM twophase',
      "SELECT gid FROM pg_prepared_xacts WHERE gid = 'compare 1'",
      "COMMIT PREPARED 'compare 1'",
      'SELECT count(*) FROM twophase',
      'BEGIN',
      'INSERT INTO twophase VALUES (2)',
      "PREPARE TRANSACTION 'compare 2'",
      "ROLLBACK PREPARED 'compare 2'",
      'SELECT count(*) FROM twophase',
      'BEGIN',
      'SELECT 1/0',
      "PREPARE TRANSACTION 'compare 3'",
      'SELECT 1',
      'BEGIN',
      "PREPARE TRANSACTION 'compare 4'",
      "ROLLBACK PREPARED 'compare 4'",
      'BEGIN',
      "SET work_mem = '5MB'",
      "PREPARE TRANSACTION 'compare 5'",
      "COMMIT PREPARED 'compare 5'",
      'SHOW work_mem',
    ),
    { fixture: 'CREATE TABLE twophase (id int)' },
  ),
  talk(
    'DDL in a transaction',
    qs(
      'BEGIN',
      'CREATE TABLE ddl1 (id int)',
      'INSERT INTO ddl1 VALUES (1)',
      'SELECT count(*) FROM ddl1',
      'ROLLBACK',
      'SELECT * FROM ddl1',
    ),
  ),
  talk(
    'DDL, used at once',
    qs(
      'CREATE TABLE ddl2 (id int)',
      'INSERT INTO ddl2 VALUES (1)',
      'SELECT id + 0 AS id FROM ddl2',
      'ALTER TABLE ddl2 ADD COLUMN name text',
      'SELECT id + 0 AS id, name || 1 AS name FROM ddl2',
      'DROP TABLE ddl2',
      'SELECT 1 FROM ddl2',
    ),
  ),
  talk(
    'DDL under a prepared statement',
    [
      x(parse('p', 'SELECT * FROM ddl3'), bind('', 'p'), execute()),
      q('ALTER TABLE ddl3 ADD COLUMN more int'),
      x(bind('', 'p'), execute()),
      x(bind('', 'p'), execute()),
      q('BEGIN'),
      x(bind('', 'p'), execute()),
      q('ROLLBACK'),
      q('DROP TABLE ddl3'),
      x(bind('', 'p'), execute()),
    ],
    { fixture: 'CREATE TABLE ddl3 (id int)' },
  ),
  talk(
    'writes, then reads of them',
    [
      ...Array.from({ length: 10 }, (_, i) =>
        qs(`INSERT INTO own VALUES (${i})`, 'SELECT count(*), max(id) FROM own'),
      ).flat(),
      x(...quick('DELETE FROM own WHERE id > 4')),
      x(...run('SELECT count(*), max(id) FROM own')),
      x(...quick('UPDATE own SET id = id + 100'), ...run('SELECT sum(id) FROM own')),
      q('TRUNCATE own; SELECT count(*) FROM own'),
      q('SELECT count(*) FROM own'),
    ],
    { fixture: 'CREATE TABLE own (id int)' },
  ),
  talk(
    'sequences',
    qs(
      "SELECT nextval('seq1')",
      "SELECT currval('seq1')",
      'SELECT lastval()',
      "SELECT setval('seq1', 40)",
      'INSERT INTO seq1_user (name) VALUES (1) RETURNING id',
      'SELECT lastval()',
      "SELECT currval('seq1')",
      'SELECT last_value, is_called FROM seq1',
      'DISCARD SEQUENCES',
      'SELECT lastval()',
      "SELECT currval('seq1')",
    ),
    {
      fixture:
        "CREATE SEQUENCE seq1; CREATE TABLE seq1_user (id int DEFAULT nextval('seq1'), name int)",
    },
  ),
  ...[
    'SELECT pg_is_in_recovery()',
    'SELECT pg_try_advisory_xact_lock(pg_backend_pid())',
    'SELECT count(*) FROM pg_stat_replication',
    'SHOW in_hot_standby',
    'SHOW transaction_read_only',
    "SELECT nextval('seq3')",
    'VACUUM item',
    'GRANT SELECT ON item TO CURRENT_USER',
    'LOCK TABLE item IN EXCLUSIVE MODE',
    'SELECT id FROM item WHERE id < 3 FOR UPDATE',
    "NOTIFY nobody, 'x'",
    'SELECT txid_current_if_assigned()',
    "SELECT set_config('application_name', 'ro', true)",
    'PREPARE ro AS SELECT 1',
    'DO $$BEGIN PERFORM 1; END$$',
  ].flatMap((text) => [
    talk(
      `in a READ ONLY transaction: ${text}`,
      qs('BEGIN READ ONLY', 'SELECT 1', text, 'SELECT count(*) FROM item', text, 'COMMIT', text),
      { fixture: 'CREATE SEQUENCE IF NOT EXISTS seq3' },
    ),
    talk(`in a READ ONLY transaction, extended: ${text}`, [
      x(...quick('BEGIN READ ONLY')),
      x(...run('SELECT id FROM item WHERE id < 3')),
      x(...run(text)),
      x(parse('', 'SELECT 2'), describe('S'), flush, bind('', ''), execute()),
      x(parse('', 'SELECT 2'), describe('S'), flush, ...run(text)),
      q('ROLLBACK'),
    ]),
  ]),
  talk('sequences never used', qs("SELECT currval('seq2')", 'SELECT lastval()'), {
    fixture: 'CREATE SEQUENCE seq2',
  }),
  talk(
    'CALL and DO with COMMIT',
    qs(
      'CALL commits(5)',
      'SELECT count(*) FROM committed',
      'BEGIN',
      'CALL commits(5)',
      'ROLLBACK',
      'SELECT count(*) FROM committed',
      'DO $$ BEGIN INSERT INTO committed VALUES (9); COMMIT; INSERT INTO committed VALUES (10); ROLLBACK; END $$',
      'SELECT count(*) FROM committed',
      'SELECT 1; CALL commits(1)',
      'CALL returns(4, NULL)',
    ),
    {
      fixture: `CREATE TABLE committed (id int);
      CREATE PROCEDURE commits(n int) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP INSERT INTO committed VALUES (i); IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$;
      CREATE PROCEDURE returns(a int, INOUT b int) LANGUAGE plpgsql AS $$ BEGIN b := a * 2; END $$`,
    },
  ),
  talk(
    'CALL, extended',
    [
      x(...run('CALL returns2($1::int, NULL)', '4')),
      x(...run('CALL commits2()')),
      x(...quick('CALL commits2()'), ...quick('SELECT 1')),
      x(...quick('SELECT 1'), ...quick('CALL commits2()')),
    ],
    {
      fixture: `CREATE PROCEDURE returns2(a int, INOUT b int) LANGUAGE plpgsql AS $$ BEGIN b := a * 2; END $$;
      CREATE PROCEDURE commits2() LANGUAGE plpgsql AS $$ BEGIN COMMIT; PERFORM 1; ROLLBACK; END $$`,
    },
  ),
  talk(
    'a write hidden in a read',
    qs(
      'SELECT hidden(1)',
      'SELECT count(*) FROM hidden',
      'BEGIN READ ONLY',
      'SELECT hidden(2)',
      'ROLLBACK',
      'WITH w AS (INSERT INTO hidden VALUES (3) RETURNING id) SELECT * FROM w',
      'SELECT count(*) FROM hidden',
    ),
    {
      fixture:
        'CREATE TABLE hidden (id int); CREATE FUNCTION hidden(n int) RETURNS int LANGUAGE sql AS $$ INSERT INTO hidden VALUES (n) RETURNING id $$',
    },
  ),
]
