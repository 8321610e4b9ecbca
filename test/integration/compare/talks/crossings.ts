/** What goes on over transactions, segments and clients, and what comes at the wrong time. */
import {
  by,
  type Conversation,
  hear,
  q,
  qs,
  say,
  sourceLine,
  talk,
  x,
} from '../../../support/conversation.ts'
import {
  bind,
  bindWith,
  call,
  close,
  copyData,
  copyDone,
  describe,
  execute,
  flush,
  int32,
  message,
  parse,
  query,
  quick,
  run,
  sync,
} from '../../../support/conversation-frames.ts'

const int4abs = 1397
const ids = 'SELECT id FROM item ORDER BY id'
const many = Array.from({ length: 65_535 }, (_, i) => `($${i + 1}::int)`).join(',')
/** Bind of 0 … 65,534 as text. */
const bindMany = (statement: string): Buffer => {
  const values = Array.from({ length: 65_535 }, (_, i) => {
    const digits = Buffer.from(String(i))
    return Buffer.concat([int32(digits.length), digits])
  })
  return message('B', '', statement, 0, Buffer.from([0xff, 0xff]), Buffer.concat(values), 0)
}

/** Begins a COPY, and then says something that has no place there. */
const wrongInCopy: Readonly<Record<string, readonly Buffer[]>> = {
  Query: [query('SELECT 1')],
  Parse: [parse('', 'SELECT 1')],
  'a whole segment': [...run('SELECT 1'), sync],
  Close: [close('S', 'x')],
  FunctionCall: [call(int4abs, '-7')],
  'no message of the protocol': [message('y', 'x')],
}

const discards: Readonly<Record<string, readonly string[]>> = {
  'a deferred BEGIN': ['BEGIN'],
  'a block': ['BEGIN', 'SELECT 1'],
  'a block that writes': ['BEGIN', 'CREATE TEMP TABLE dt (n int)'],
  'a READ ONLY block': ['BEGIN READ ONLY', 'SELECT count(*) FROM item'],
  'a failed block': ['BEGIN', 'SELECT 1/0'],
  'a savepoint': ['BEGIN', 'SAVEPOINT a', 'SELECT 1'],
  'a role': ['SET ROLE compare_reader'],
  'another session user': ['SET SESSION AUTHORIZATION compare_reader'],
  'an open cursor': ['BEGIN', `DECLARE c CURSOR WITH HOLD FOR ${ids}`, 'COMMIT', 'FETCH 2 FROM c'],
  'a temporary table': ['CREATE TEMP TABLE dt (n int)', 'INSERT INTO dt VALUES (1)'],
  nothing: [],
}

export const crossingTalks: readonly Conversation[] = [
  ...Object.entries(wrongInCopy).map(([name, frames], i) =>
    talk(
      `crossing: in COPY FROM STDIN comes ${name}`,
      [hear('G', 1, query(`COPY wrong${i} FROM STDIN`)), hear('E', 1, copyData('1\n'), ...frames)],
      { fixture: `CREATE TABLE wrong${i} (n int)`, endsItself: true, masks: [sourceLine] },
    ),
  ),
  ...Object.entries(discards).map(([name, texts]) =>
    talk(`crossing: DISCARD ALL with ${name}`, [
      ...qs(...texts, 'DISCARD ALL', 'SELECT count(*) FROM item', 'DISCARD ALL', 'ROLLBACK'),
      ...qs('SELECT current_user', 'FETCH 1 FROM c', 'SELECT * FROM dt', 'DISCARD ALL'),
    ]),
  ),
  talk(
    'crossing: DISCARD ALL by extended query',
    [
      q("SET work_mem = '5MB'"),
      x(parse('gone2', 'SELECT 1')),
      x(...run('DISCARD ALL')),
      x(bind('', 'gone2'), execute()),
      q('SHOW work_mem'),
      x(...quick('SELECT 1'), ...quick('DISCARD ALL'), ...quick('SELECT 2')),
      q('BEGIN'),
      x(...run('DISCARD ALL')),
      q('ROLLBACK'),
    ],
    {},
  ),
  talk('crossing: 65,535 parameters of a read', [
    x(parse('', `SELECT count(*), sum(column1) FROM (VALUES ${many}) v`), bindMany(''), execute()),
    q('SELECT 1'),
  ]),
  talk(
    'crossing: 65,535 parameters of a write',
    [
      x(parse('p', `INSERT INTO params VALUES ${many}`)),
      x(bindMany('p'), describe('P'), execute()),
      q('SELECT count(*), sum(n) FROM params'),
    ],
    { fixture: 'CREATE TABLE params (n int)' },
  ),
  talk('crossing: one parameter too few and too many', [
    x(parse('p', 'SELECT $1::int, $2::int')),
    x(bindWith({ statement: 'p', values: ['1'] }), execute()),
    x(bindWith({ statement: 'p', values: ['1', '2', '3'] }), execute()),
    x(bindWith({ statement: 'p', values: ['1', '2'] }), execute()),
  ]),
  talk('crossing: NOTIFY that is rolled back, and one that is not', [
    q('LISTEN cross1'),
    ...by(1, ...qs('BEGIN', "NOTIFY cross1, 'lost'", 'ROLLBACK')),
    ...by(1, ...qs('BEGIN', "NOTIFY cross1, 'a'", 'SAVEPOINT s', "NOTIFY cross1, 'lost, too'")),
    ...by(1, ...qs('ROLLBACK TO s', "NOTIFY cross1, 'b'", "NOTIFY cross1, 'a'", 'COMMIT')),
    hear('A', 2),
    ...by(1, q("BEGIN; SELECT pg_notify('cross1', 'c'); COMMIT; SELECT 1")),
    hear('A', 1),
    q('UNLISTEN *'),
  ]),
  talk('crossing: a listener in a transaction hears at its end', [
    ...qs('LISTEN cross2', 'BEGIN', 'SELECT count(*) FROM item'),
    ...by(1, q("NOTIFY cross2, 'waits'")),
    ...qs('SELECT 1', 'COMMIT'),
    ...qs('BEGIN', 'UNLISTEN cross2', 'ROLLBACK'),
    ...by(1, q("NOTIFY cross2, 'again'")),
    hear('A', 1),
    ...qs('BEGIN', 'UNLISTEN cross2', 'COMMIT'),
    ...by(1, q("NOTIFY cross2, 'unheard'")),
    q('SELECT 1'),
  ]),
  talk('crossing: own notifications in a transaction and a pipeline', [
    ...qs('LISTEN cross3', 'BEGIN', "NOTIFY cross3, 'own'", 'SELECT 1', 'COMMIT'),
    hear('Z', 2, ...quick("NOTIFY cross3, 'one'"), sync, ...quick('SELECT 1/0'), sync),
    x(...quick("NOTIFY cross3, 'lost'"), ...quick('SELECT 1/0')),
    q('UNLISTEN *'),
  ]),
  talk('crossing: function calls in a failed block and behind its end', [
    ...qs('BEGIN', 'SELECT 1/0'),
    hear('Z', 2, call(int4abs, '-1'), call(int4abs, 'x')),
    ...qs('SAVEPOINT a', 'ROLLBACK'),
    hear('Z', 1, call(int4abs, '-2')),
    ...qs('BEGIN', 'SAVEPOINT a', 'SELECT 1/0'),
    hear('Z', 1, call(int4abs, '-3')),
    q('ROLLBACK TO a'),
    hear('Z', 1, call(int4abs, '-4')),
    q('COMMIT'),
  ]),
  talk('crossing: a large object over transactions', [
    ...qs('BEGIN', 'SELECT lo_create(880100)', 'SELECT lo_open(880100, 393216)'),
    ...qs("SELECT lowrite(0, 'kept')", 'COMMIT', 'SELECT loread(0, 4)'),
    ...qs('BEGIN', 'SELECT lo_open(880100, 393216)', "SELECT lowrite(0, 'lost')", 'ROLLBACK'),
    ...qs('BEGIN', 'SELECT lo_open(880100, 262144)', 'SAVEPOINT a', 'SELECT loread(0, 2)'),
    ...qs('SELECT 1/0', 'ROLLBACK TO a', 'SELECT loread(0, 2)', 'SELECT lo_close(0)', 'COMMIT'),
    ...qs('BEGIN READ ONLY', 'SELECT lo_open(880100, 262144)', 'SELECT loread(0, 9)', 'COMMIT'),
    ...qs('SELECT lo_get(880100)', 'SELECT lo_unlink(880100)', 'SELECT lo_get(880100)'),
  ]),
  talk(
    'crossing: row limits over segments, amid other statements',
    [
      q('BEGIN'),
      x(parse('a', ids), bind('pa', 'a'), execute('pa', 2)),
      x(parse('b', `${ids} DESC`), bind('pb', 'b'), execute('pb', 1), execute('pa', 1)),
      q('INSERT INTO limits VALUES (1), (2) RETURNING n'),
      x(execute('pa', 2), ...run('SELECT count(*) FROM limits'), execute('pb', 2)),
      ...qs('SAVEPOINT s', 'SELECT 1/0', 'ROLLBACK TO s'),
      x(execute('pa', 2)),
      x(parse('c', 'DELETE FROM limits RETURNING n'), bind('pc', 'c'), execute('pc', 1)),
      x(execute('pc', 1)),
      x(execute('pc', 1)),
      x(execute('pb', 0), execute('pb', 0)),
      q('COMMIT'),
      x(execute('pa', 1)),
      q('SELECT count(*) FROM limits'),
    ],
    { fixture: 'CREATE TABLE limits (n int)' },
  ),
  talk('crossing: row limits in a READ ONLY transaction', [
    q('BEGIN READ ONLY'),
    x(parse('', ids), bind('p', ''), execute('p', 2)),
    q('SELECT count(*) FROM item'),
    x(execute('p', 2), execute('p', 2)),
    hear('s', 1, execute('p', 1), flush),
    hear('Z', 1, execute('p', 1), sync),
    q('COMMIT'),
  ]),
  talk('crossing: a suspended portal and COMMIT in one segment', [
    x(...quick('BEGIN'), parse('', ids), bind('p', ''), execute('p', 2), ...quick('COMMIT')),
    x(execute('p', 2)),
    x(...quick('BEGIN'), parse('', ids), bind('p', ''), execute('p', 2)),
    x(...quick('COMMIT'), execute('p', 2)),
    x(
      parse('', ids),
      bind('p', ''),
      execute('p', 2),
      execute('p', 2),
      ...quick('SELECT 1'),
      execute('p', 1),
    ),
    x(
      ...quick('BEGIN'),
      parse('', ids),
      bind('p', ''),
      execute('p', 2),
      ...quick('ROLLBACK'),
      execute('p', 2),
    ),
    q('SELECT 1'),
  ]),
  talk('crossing: a portal whose BEGIN has not been sent', [
    x(...quick('BEGIN')),
    x(parse('', ids), bind('p', ''), execute('p', 2)),
    x(execute('p', 2)),
    x(...quick('COMMIT')),
  ]),
  talk(
    'crossing: two-phase commit by another session',
    [
      ...qs('BEGIN', 'INSERT INTO phases VALUES (1)', "PREPARE TRANSACTION 'cross-1'"),
      ...by(1, ...qs('SELECT count(*) FROM phases', "COMMIT PREPARED 'cross-1'")),
      ...qs('SELECT count(*) FROM phases', "COMMIT PREPARED 'cross-1'"),
      ...qs('BEGIN', 'INSERT INTO phases VALUES (2)', "PREPARE TRANSACTION 'cross-2'"),
      ...by(1, ...qs("ROLLBACK PREPARED 'cross-2'", "ROLLBACK PREPARED 'cross-2'")),
      ...qs('BEGIN', 'SELECT 1/0', "PREPARE TRANSACTION 'cross-3'"),
      ...qs('BEGIN', "PREPARE TRANSACTION 'cross-4'", "COMMIT PREPARED 'cross-4'"),
      ...qs("PREPARE TRANSACTION 'cross-5'", 'BEGIN', "COMMIT PREPARED 'cross-5'", 'ROLLBACK'),
      ...qs('BEGIN', 'CREATE TEMP TABLE two (n int)', "PREPARE TRANSACTION 'cross-6'"),
      ...qs('SELECT * FROM two', 'BEGIN READ ONLY', 'SELECT 1', "PREPARE TRANSACTION 'cross-7'"),
      ...qs("COMMIT PREPARED 'cross-7'", 'SELECT count(*) FROM phases'),
    ],
    { fixture: 'CREATE TABLE phases (n int)' },
  ),
  talk(
    'crossing: settings of a transaction that another session commits',
    [
      ...qs('BEGIN', "SET work_mem = '6MB'", 'INSERT INTO phased VALUES (1)'),
      ...qs("PREPARE TRANSACTION 'cross-8'", 'SHOW work_mem'),
      ...by(1, ...qs("COMMIT PREPARED 'cross-8'", 'SHOW work_mem')),
      q('SHOW work_mem'),
    ],
    { fixture: 'CREATE TABLE phased (n int)' },
  ),
  talk(
    'crossing: two COPY with something wrong in between',
    [
      hear('G', 1, query('COPY cross_in FROM STDIN')),
      hear('Z', 1, copyData('1\n'), flush, sync, copyData('2\n'), copyDone),
      hear('G', 1, ...quick('COPY cross_in FROM STDIN'), sync),
      hear('Z', 1, copyData('3\n'), flush, copyDone, sync),
      say(copyData('late\n'), copyDone),
      q('SELECT sum(n) FROM cross_in'),
    ],
    { fixture: 'CREATE TABLE cross_in (n int)' },
  ),
]
