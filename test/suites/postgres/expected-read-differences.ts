/** Reads that may answer otherwise through pgsplit, and why. */
interface ExpectedReadDifference {
  readonly file: string
  readonly text: RegExp
  readonly reason: string
}

const expectedReadDifferences: readonly ExpectedReadDifference[] = [
  {
    file: 'guc',
    text: /plpgsql\.extra_foo_warnings|myfunc\(0\)/,
    reason: 'The server process may have loaded PL/pgSQL for an earlier client, or only now.',
  },
  {
    file: 'merge',
    text: /sq_target/,
    reason:
      'A WITH … MERGE of the file deletes the row in one run, and puts it back in the next one.',
  },
  {
    file: 'stats',
    text: /pg_stat|io_sum|my_io_stats/,
    reason: 'The primary counts what runs there; reads that it is spared it does not count.',
  },
  {
    file: 'select_parallel',
    text: /parallel_workers|explain \(analyze/i,
    reason: 'How many workers a parallel query gets depends on what else runs at that moment.',
  },
]

/** Whether the statement is one of them. */
export function isExpected(file: string, text: string): boolean {
  return expectedReadDifferences.some((known) => known.file === file && known.text.test(text))
}
