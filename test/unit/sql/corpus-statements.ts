import { readFileSync } from 'node:fs'
import type { Classifier } from '../../../src/sql/classifier.ts'
import type { LexMode } from '../../../src/sql/lexer.ts'
import type { StatementClass, Verdict } from '../../../src/sql/statement-class.ts'

export interface CorpusStatement {
  readonly sql: string
  readonly expect: Verdict
  readonly also_ok?: readonly Verdict[]
  readonly params?: readonly unknown[]
  readonly min_pg?: number
}

const FILE = new URL('../../corpus/statements.jsonl', import.meta.url)

/** The corpus' statements that a server of this major version can run. */
export function corpusStatements(version = 99): CorpusStatement[] {
  const lines = readFileSync(FILE, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
  const all: CorpusStatement[] = lines.map((line) => JSON.parse(line))
  return all.filter((statement) => (statement.min_pg ?? 0) <= version)
}

export function isRead(verdict: Verdict): boolean {
  return verdict === 'replica' || verdict === 'either'
}

/** What a text's class is, when it stands somewhere inside a bigger buffer. */
export function classOf(
  classifier: Classifier,
  sql: string,
  mode: LexMode = 'standard',
): StatementClass {
  const text = Buffer.from(`\u0000'${sql}'"$$`)
  return classifier.classify(text, 2, text.length - 4, mode)
}

/** How a corpus run went: misroutes must be none. */
export function corpusFigures(classifier: Classifier, version: number) {
  const misrouted: string[] = []
  const lost: string[] = []
  let reads = 0
  for (const { sql, expect, also_ok = [] } of corpusStatements(version)) {
    const { verdict } = classOf(classifier, sql)
    const allowed = [expect, ...also_ok]
    if (isRead(expect)) {
      reads++
      if (!isRead(verdict) && !allowed.includes(verdict)) lost.push(sql)
    } else if (isRead(verdict) && !allowed.some(isRead)) {
      misrouted.push(sql)
    }
  }
  return { misrouted, lost, reads }
}
