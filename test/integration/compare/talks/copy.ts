import {
  type Conversation,
  hear,
  q,
  say,
  sourceLine,
  talk,
  x,
} from '../../../support/conversation.ts'
import {
  bind,
  bindWith,
  copyData,
  copyDone,
  copyFail,
  describe,
  execute,
  flush,
  parse,
  query,
  quick,
  run,
  sync,
} from '../../../support/conversation-frames.ts'

const table = (name: string): string => `CREATE TABLE ${name} (id int PRIMARY KEY, name text)`
const copyIn = (name: string, text = `COPY ${name} FROM STDIN`): Buffer[] => [
  parse('', text),
  bind('', ''),
  execute(),
]
const q1 = query('SELECT 1')
const lines = (from: number, to: number): Buffer =>
  copyData(Array.from({ length: to - from }, (_, i) => `${from + i}\tline ${from + i}\n`).join(''))

const outs: readonly string[] = [
  'COPY item TO STDOUT',
  'COPY item (id, name) TO STDOUT WITH (FORMAT csv, HEADER)',
  'COPY (SELECT id, name FROM item WHERE id < 5 ORDER BY id) TO STDOUT',
  'COPY (SELECT id, raw FROM item ORDER BY id) TO STDOUT WITH (FORMAT binary)',
  'COPY (SELECT 1 WHERE false) TO STDOUT',
  'COPY (SELECT 1/(50 - g) FROM generate_series(1, 100) g) TO STDOUT',
  'COPY (SELECT nothing) TO STDOUT',
  "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 3000)) TO STDOUT",
  "COPY (SELECT repeat('x', 2000000)) TO STDOUT",
  'COPY (UPDATE item SET name = name WHERE false RETURNING id) TO STDOUT',
  "COPY item TO STDOUT WITH (NOTHING 'x')",
]

/** What a client may send after CopyInResponse, in a conversation of its own. */
const ins: Readonly<Record<string, readonly Buffer[]>> = {
  nothing: [copyDone],
  'a few lines': [lines(0, 5), copyDone],
  'lines in pieces': [copyData('1\to'), copyData('ne\n2'), copyData('\ttwo\n'), copyDone],
  'no last newline': [copyData('1\tone'), copyDone],
  'the end of data mark': [copyData('1\tone\n\\.\n'), copyDone],
  'empty pieces': [copyData(''), copyData('1\tone\n'), copyData(''), copyDone],
  'CopyFail at once': [copyFail('changed my mind')],
  'CopyFail later': [lines(0, 5), copyFail('')],
  'a bad line': [lines(0, 3), copyData('x\ty\n'), lines(5, 9), copyDone],
  'a bad first line': [copyData('nonsense\n'), copyDone],
  'too many columns': [copyData('1\t2\t3\n'), copyDone],
  'a key twice': [copyData('1\ta\n1\tb\n'), copyDone],
  'bad UTF-8': [copyData(Buffer.from([0x31, 0x09, 0xff, 0x0a])), copyDone],
  'an error, then CopyFail': [copyData('x\ty\n'), copyFail('too late')],
  'Flush and Sync between': [lines(0, 2), flush, sync, lines(2, 4), sync, flush, copyDone],
  'a large piece': [lines(0, 20_000), copyDone],
  'many pieces': [...Array.from({ length: 300 }, (_, i) => lines(i * 3, i * 3 + 3)), copyDone],
  'an error in many pieces': [
    ...Array.from({ length: 300 }, (_, i) =>
      i === 20 ? copyData('bad\n') : lines(i * 3, i * 3 + 3),
    ),
    copyDone,
  ],
}

export const copyTalks: readonly Conversation[] = [
  ...outs.flatMap((text, i) => [
    talk(`COPY out ${i}, simple`, [q(text), q('SELECT 1')]),
    talk(`COPY out ${i}, extended`, [x(...run(text)), x(...quick('SELECT 1'))]),
  ]),
  ...Object.entries(ins).map(([name, frames], i) =>
    talk(
      `COPY in, simple: ${name}`,
      [
        hear('G', 1, query(`COPY cin${i} FROM STDIN`)),
        hear('Z', 1, ...frames),
        q(`SELECT count(*), min(name) FROM cin${i}`),
      ],
      { fixture: table(`cin${i}`) },
    ),
  ),
  ...Object.entries(ins).map(([name, frames], i) =>
    talk(
      `COPY in, extended: ${name}`,
      [
        hear('G', 1, ...copyIn(`cix${i}`), flush),
        hear('Z', 1, ...frames, sync),
        q(`SELECT count(*), min(name) FROM cix${i}`),
        x(...quick('SELECT 5')),
      ],
      { fixture: table(`cix${i}`) },
    ),
  ),
  ...Object.entries(ins)
    .filter((_, i) => i % 2 === 0)
    .map(([name, frames], i) =>
      talk(
        `COPY in, extended with Sync in front: ${name}`,
        [
          hear('G', 1, ...copyIn(`ciy${i}`), sync),
          hear('Z', 1, ...frames, sync),
          q(`SELECT count(*), min(name) FROM ciy${i}`),
        ],
        { fixture: table(`ciy${i}`) },
      ),
    ),
  ...Object.entries(ins)
    .filter((_, i) => i % 2 === 1)
    .map(([name, frames], i) =>
      talk(
        `COPY in, in a block: ${name}`,
        [
          q('BEGIN'),
          hear('G', 1, query(`COPY cib${i} FROM STDIN`)),
          hear('Z', 1, ...frames),
          q(`SELECT count(*), min(name) FROM cib${i}`),
          q('ROLLBACK'),
          q(`SELECT count(*) FROM cib${i}`),
        ],
        { fixture: table(`cib${i}`) },
      ),
    ),
  talk(
    'COPY in, simple: a Query in the middle',
    [hear('G', 1, query('COPY cin_query FROM STDIN')), say(lines(0, 3), query('SELECT 1'))],
    { fixture: table('cin_query'), endsItself: true, masks: [sourceLine] },
  ),
  talk(
    'COPY in, extended: a Parse in the middle',
    [hear('G', 1, ...copyIn('cin_parse'), flush), say(lines(0, 3), parse('', 'SELECT 1'))],
    { fixture: table('cin_parse'), endsItself: true, masks: [sourceLine] },
  ),
  talk(
    'COPY in, simple: a Query behind a bad line',
    [
      q('BEGIN'),
      hear('G', 1, query('COPY cin_block FROM STDIN')),
      hear('Z', 2, copyData('x\ty\n'), query('ROLLBACK')),
      hear('G', 1, query('COPY cin_block FROM STDIN')),
      hear('Z', 2, copyData('x\ty\n'), q1),
      q('SELECT count(*) FROM cin_block'),
    ],
    { fixture: table('cin_block') },
  ),
  talk(
    'COPY in, extended: more behind a bad line',
    [
      hear('G', 1, ...copyIn('cin_skip'), flush),
      hear('Z', 1, copyData('x\ty\n'), ...run('SELECT 1'), lines(0, 3), copyDone, sync),
      q('SELECT count(*) FROM cin_skip'),
      hear('G', 1, ...copyIn('cin_skip'), flush),
      hear('E', 1, copyData('x\ty\n')),
      hear('Z', 1, ...run('SELECT 1'), lines(0, 3), copyDone, sync),
      x(...quick('SELECT 5')),
    ],
    { fixture: table('cin_skip') },
  ),
  talk(
    'COPY in csv with a header',
    [
      hear('G', 1, query('COPY cih FROM STDIN WITH (FORMAT csv, HEADER)')),
      hear('Z', 1, copyData('id,name\n1,"a, b"\n2,\n'), copyDone),
      q('SELECT * FROM cih ORDER BY id'),
    ],
    { fixture: table('cih') },
  ),
  talk(
    'COPY in the middle of a text',
    [
      hear('G', 1, query('SELECT 1; COPY cim FROM STDIN; SELECT 2')),
      hear('Z', 1, lines(0, 2), copyDone),
      hear('G', 1, query('COPY cim FROM STDIN; COPY cim FROM STDIN')),
      hear('G', 1, lines(2, 4), copyDone),
      hear('Z', 1, lines(4, 6), copyDone),
      hear('G', 1, query('COPY cim FROM STDIN; SELECT 2')),
      hear('Z', 1, copyData('x\n'), copyDone),
      q('SELECT count(*) FROM cim'),
    ],
    { fixture: table('cim') },
  ),
  talk(
    'COPY both ways in one text',
    [
      hear('G', 1, query('COPY cit FROM STDIN; COPY cit TO STDOUT')),
      hear('Z', 1, lines(0, 3), copyDone),
    ],
    { fixture: table('cit') },
  ),
  talk(
    'COPY between other messages of a segment',
    [
      hear('G', 1, ...quick('SELECT 1'), ...copyIn('cis'), flush),
      hear('Z', 1, lines(0, 2), copyDone, ...quick('SELECT count(*) FROM cis'), sync),
      hear('G', 1, ...copyIn('cis'), flush),
      hear('Z', 1, copyData('x\n'), copyDone, ...quick('SELECT count(*) FROM cis'), sync),
      x(...quick('SELECT count(*) FROM cis')),
    ],
    { fixture: table('cis') },
  ),
  talk(
    'a named COPY, several times',
    [
      x(parse('c', 'COPY cin_named FROM STDIN')),
      hear('G', 1, bind('', 'c'), describe('P'), execute(), flush),
      hear('Z', 1, lines(0, 2), copyDone, sync),
      hear('G', 1, bind('', 'c'), describe('P'), execute(), flush),
      hear('Z', 1, lines(2, 4), copyDone, sync),
      q('SELECT count(*) FROM cin_named'),
    ],
    { fixture: table('cin_named') },
  ),
  talk(
    'COPY in binary',
    [
      hear('G', 1, query('COPY cibin FROM STDIN WITH (FORMAT binary)')),
      hear('Z', 1, copyData(binaryRows()), copyDone),
      q('SELECT * FROM cibin'),
      hear('G', 1, query('COPY cibin FROM STDIN WITH (FORMAT binary)')),
      hear('Z', 1, copyData('not binary at all'), copyDone),
    ],
    { fixture: table('cibin') },
  ),
  talk('COPY messages outside COPY', [
    hear('Z', 1, copyData('x'), copyDone, query('SELECT 1')),
    hear('Z', 1, copyFail('x'), ...quick('SELECT 1'), sync),
    hear('Z', 1, ...quick('SELECT 1/0'), copyData('x'), copyDone, sync),
    q('SELECT 2'),
  ]),
  talk(
    'COPY with its data in the same write',
    [
      hear(
        'Z',
        2,
        query('COPY ciw FROM STDIN'),
        lines(0, 3),
        copyDone,
        query('SELECT count(*) FROM ciw'),
      ),
      hear(
        'Z',
        2,
        ...copyIn('ciw'),
        lines(3, 6),
        copyDone,
        sync,
        query('SELECT count(*) FROM ciw'),
      ),
      hear('Z', 2, query('COPY ciw FROM nothing'), query('SELECT 1')),
      hear('Z', 2, query('COPY nowhere FROM STDIN'), lines(0, 3), copyDone, query('SELECT 1')),
      hear('Z', 2, ...copyIn('nowhere'), lines(3, 6), copyDone, sync, query('SELECT 1')),
    ],
    { fixture: table('ciw') },
  ),
  talk(
    'COPY whose Sync goes ahead of data that is sent at once, with requests behind it',
    [
      hear('Z', 1, ...copyIn('cia'), sync, lines(0, 3), copyDone, ...run('SELECT 1'), sync),
      hear('Z', 1, ...copyIn('cia'), sync, lines(3, 6), copyDone, ...quick('SELECT 1/0'), sync),
      q('SELECT count(*) FROM cia'),
      hear('Z', 1, ...copyIn('cia'), sync, sync, lines(3, 6), copyDone, sync),
      hear('Z', 2, ...copyIn('cia'), sync, copyData('x\n'), copyDone, sync, query('SELECT 2')),
      hear('Z', 2, ...copyIn('nowhere'), sync, lines(0, 3), copyDone, ...run('SELECT 1'), sync),
      hear('Z', 3, ...copyIn('nowhere'), sync, sync, lines(0, 3), copyDone, query('SELECT 1')),
      hear('Z', 2, query('COPY cia FROM STDIN'), sync, lines(6, 9), copyDone, query('SELECT 1')),
      hear('Z', 3, query('COPY nowhere FROM STDIN'), sync, lines(6, 9), copyDone, q1),
      hear(
        'Z',
        2,
        query('COPY cia FROM STDIN'),
        lines(9, 12),
        copyDone,
        ...quick('SELECT 3'),
        sync,
      ),
      q('SELECT count(*) FROM cia'),
    ],
    { fixture: table('cia') },
  ),
  talk('COPY out with a row limit', [
    x(parse('', 'COPY item (id) TO STDOUT'), bind('', ''), execute('', 2)),
  ]),
  talk('COPY with result formats', [
    x(parse('', 'COPY item (id) TO STDOUT'), bindWith({ results: [1] }), describe('P'), execute()),
  ]),
]

function binaryRows(): Buffer {
  const head = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
  const row = Buffer.from([0, 2, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 2, 0x68, 0x69])
  return Buffer.concat([head, row, Buffer.from([0xff, 0xff])])
}
