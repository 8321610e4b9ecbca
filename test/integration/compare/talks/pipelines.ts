import { type Conversation, hear, q, talk, x } from '../../../support/conversation.ts'
import {
  bind,
  close,
  describe,
  execute,
  flush,
  parse,
  pipeline,
  query,
  quick,
  run,
  sync,
} from '../../../support/conversation-frames.ts'

const read = 'SELECT id, name FROM item WHERE id = 3'
const write = 'UPDATE item SET name = name WHERE false'
const bad = 'SELECT 1/0'
const worse = 'SELEC'

/** What a place in the pipeline can hold. */
const kinds: Readonly<Record<string, readonly Buffer[]>> = {
  r: run(read),
  w: run(write),
  e: run(bad),
  p: [parse('', worse)],
  b: [parse('', 'SELECT $1::int'), bind('', '', 'x'), execute()],
  o: quick('BEGIN'),
  c: quick('COMMIT'),
  k: quick('ROLLBACK'),
  v: quick('SAVEPOINT s'),
  t: quick('ROLLBACK TO s'),
  s: quick("SET application_name = 'piped'"),
  h: run('SHOW application_name'),
  n: [parse('n', read)],
  u: [bind('', 'n'), describe('P'), execute()],
  d: [close('S', 'n')],
  m: run("SELECT says('m')"),
  '-': [],
  f: [flush],
  i: [parse('i', read), describe('S', 'i'), flush],
  j: [bind('', 'i'), execute(), flush],
  z: [bind('q', 'i'), describe('P', 'q'), flush],
  y: [execute('q')],
  a: [parse('', read), describe('S'), flush],
  l: [bind('', ''), execute(), flush],
  x: [close('S', 'i'), flush],
  // Is asked of the primary.
  g: [parse('i', 'SELECT pg_is_in_recovery()'), describe('S', 'i'), flush],
}

/** Letters of `kinds`; `|` is Sync, `Q` a simple query. */
const scores: readonly string[] = [
  'r|r|r|',
  'r|w|r|w|',
  'rr|rr|',
  'rw|wr|',
  'e|r|',
  'r|e|r|',
  'r|r|e|',
  'er|r|',
  're|r|',
  'rer|w|',
  'p|r|',
  'rp|r|',
  'pr|pr|r|',
  'b|b|r|',
  'w|e|w|',
  'we|w|',
  'ew|w|',
  'wew|r|',
  'e|e|e|r|',
  '||||',
  'r||r||',
  '|r|',
  'orc|r|',
  'o|r|c|',
  'o|w|c|r|',
  'o|e|r|k|r|',
  'o|e|c|r|',
  'oer|r|k|',
  'o|o|k|',
  'c|k|r|',
  'o|v|w|t|c|',
  'o|v|e|t|r|c|',
  'ov|et|t|c|',
  'ovetr|k|',
  's|h|',
  'sh|h|',
  'o|s|k|h|',
  'o|s|c|h|',
  'oshk|h|',
  's|e|h|',
  'se|h|',
  'n|u|u|',
  'nu|u|',
  'n|d|u|',
  'nud|u|',
  'n|n|u|',
  'nn|u|',
  'n|e|u|',
  'ne|u|',
  'en|u|',
  'u|n|u|',
  'o|n|k|u|',
  'o|ne|k|u|',
  'nd|n|u|',
  'd|d|',
  'm|r|m|',
  'rm|wm|',
  'me|m|',
  'f|',
  'rfr|',
  'rf|rf|',
  'ef|r|',
  'efr|r|',
  'rfef|r|',
  'f|f|r|',
  'nf|uf|',
  'of|wf|cf|',
  'o-|-r-|c-|',
  'Q',
  'r|Q',
  'rQ|',
  'eQ|',
  'Qr|',
  'QQr|Q',
  'r|Qr|Q',
  'o|Q|c|',
  'oQ|c|',
  'ore|Q|k|',
  'w|Qw|Q',
  'sQ|h|',
  'r|r|r|r|r|r|r|r|r|r|r|r|r|r|r|r|',
  'w|r|w|r|w|r|w|r|w|r|',
  'rrrrrrrrrrrr|',
  'e|r|e|r|e|r|e|r|',
  'o|w|c|o|w|c|o|r|c|',
  'o|w|k|o|e|k|o|r|c|r|',
  'orcorc|',
  'owcr|',
  'rowc|',
  'r|owcoek|r|',
  'oe|c|oe|k|r|',
  'sr|hr|sw|hw|',
  'uu|',
  'ud|n|u|',
  'on|u|c|u|',
  'iw|',
  'ij|w|',
  'ijw|',
  'ijwj|j|',
  'ie|j|',
  'iwe|j|',
  'ip|j|',
  'izwy|y|',
  'i|jw|',
  'i|zwy|y|',
  'i|zfwy|y|',
  'ioj|w|c|',
  'ios|hj|k|h|',
  'is|h|',
  'ish|h|',
  'alw|',
  'aw|',
  'awl|',
  'al|aw|al|',
  'alal|',
  'ijijw|',
  'ax|',
  'ixw|j|',
  'xixiw|j|',
  'xw|',
  'xwx|w|',
  'xfw|r|',
  'xrw|',
  'gw|',
  'xgj|',
  'xgw|',
  'xgxgw|j|',
  'ixjw|',
  'ijxw|',
  'a|lw|',
  'aolw|c|',
  'am|',
  'imj|',
]

function play(score: string): Buffer[] {
  return [...score].flatMap((letter) => {
    if (letter === '|') return [sync]
    if (letter === 'Q') return [query('SELECT 42')]
    const frames = kinds[letter]
    if (frames === undefined) throw new Error(`no kind ${letter}`)
    return [...frames]
  })
}

/** ReadyForQuery messages that PostgreSQL gives: one per Sync, one per Query that isn't skipped. */
function answers(score: string): number {
  let count = 0
  let isSkipping = false
  for (const letter of score) {
    if (letter === '|') {
      count++
      isSkipping = false
    } else if (letter === 'Q' && !isSkipping) count++
    else if ('epb'.includes(letter)) isSkipping = true
  }
  return count
}

export const pipelineTalks: readonly Conversation[] = [
  ...scores.map((score) =>
    talk(`pipeline ${score}`, [hear('Z', answers(score), ...play(score)), x(...run('SELECT 99'))]),
  ),
  ...scores
    .filter((score, i) => i % 3 === 0 && !score.includes('Q'))
    .map((score) =>
      talk(`pipeline in a block ${score}`, [
        q('BEGIN'),
        hear('Z', answers(score), ...play(score)),
        q('ROLLBACK'),
        q('SHOW application_name'),
      ]),
    ),
  talk('a hundred texts in a pipeline', [
    hear(
      'Z',
      100,
      ...pipeline(...Array.from({ length: 100 }, (_, i) => (i % 9 === 8 ? bad : `SELECT ${i}`))),
    ),
  ]),
  talk('a pipeline of large answers', [
    hear(
      'Z',
      10,
      ...pipeline(...Array.from({ length: 10 }, (_, i) => `SELECT ${i}, repeat('x', 200000)`)),
    ),
  ]),
]
