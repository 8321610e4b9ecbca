/** `node test/bench/micro-sql.ts`: nanoseconds per statement of lexing, looking up and judging. */
import { Classifier } from '../../src/sql/classifier.ts'
import { classifyTokens } from '../../src/sql/classify-text.ts'
import { Fingerprint } from '../../src/sql/fingerprint.ts'
import { tokenize } from '../../src/sql/lexer.ts'
import { recordedCatalog } from '../corpus/recorded-catalog.ts'

const join = Array.from({ length: 10 }, (_, i) => `JOIN t2 AS j${i} ON j${i}.t_id = t.id`).join(' ')
const rows = Array.from({ length: 1000 }, (_, i) => `(${i}, 'row ${i}', ${i}.5)`).join(', ')
const TEXTS: [name: string, sql: string][] = [
  ['pgbench -S', 'SELECT abalance FROM pgbench_accounts WHERE aid = 12345;'],
  ['pgbench -S, $1', 'SELECT abalance FROM pgbench_accounts WHERE aid = $1;'],
  ['pgbench UPDATE', 'UPDATE pgbench_accounts SET abalance = abalance + 42 WHERE aid = 12345;'],
  ['10-table join', `SELECT t.id, count(*) FROM t ${join} WHERE t.v = 'x' GROUP BY t.id`],
  ['INSERT, 1000 rows', `INSERT INTO t2 VALUES ${rows}`],
  ['1 MB literal', `SELECT '${'x'.repeat(1 << 20)}'`],
  ['1 MB IN list', `SELECT v FROM t WHERE id IN (${'12345, '.repeat(150_000)}1)`],
]

const sets = recordedCatalog()
const fingerprint = new Fingerprint()
const classifier = new Classifier()
classifier.setCatalog(sets)

/** Best of five, ns per call. */
function measure(bytes: number, run: () => void): number {
  const calls = Math.max(3, Math.min(200_000, Math.round(20_000_000 / bytes)))
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    const started = process.hrtime.bigint()
    for (let i = 0; i < calls; i++) run()
    best = Math.min(best, Number(process.hrtime.bigint() - started) / calls)
  }
  return Math.round(best)
}

const table = TEXTS.map(([name, sql]) => {
  // In the middle of a larger buffer, as frames stand in a chunk.
  const text = Buffer.from(`Q....${sql}\u0000`)
  const [start, end] = [5, text.length - 1]
  const context = { catalog: sets, doubted: null, noReads: null, asciiNamesOnly: false }
  const miss = () => {
    const tokens = tokenize(text, start, end, false)
    if (typeof tokens !== 'string') classifyTokens(tokens, 0, tokens.length, context, null)
  }
  return {
    statement: name,
    bytes: end - start,
    fingerprint: measure(sql.length, () => fingerprint.compute(text, start, end, false, 0)),
    hit: measure(sql.length, () => classifier.classify(text, start, end, 'standard')),
    tokens: measure(sql.length * 10, () => tokenize(text, start, end, false)),
    miss: measure(sql.length * 50, miss),
  }
})
console.log('ns per statement, best of five')
console.table(table)
