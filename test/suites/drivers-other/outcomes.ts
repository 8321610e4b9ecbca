/** What a suite says of its tests, by their names. */
export type Outcomes = ReadonlyMap<string, 'pass' | 'fail' | 'skip'>

/** A test that passes directly and need not pass through pgsplit. */
export interface ExpectedDifference {
  /** The test's name; with `*` at the end all that begin so. */
  readonly test: string
  readonly reason: string
  /** It would never end through pgsplit: it isn't run. */
  readonly isLeftOut?: true
}

function isExpected(test: string, expected: readonly ExpectedDifference[]): boolean {
  return expected.some(({ test: name }) =>
    name.endsWith('*') ? test.startsWith(name.slice(0, -1)) : test === name,
  )
}

/** Tests that pass directly but not through pgsplit, the expected ones apart. */
export function worseThrough(
  direct: Outcomes,
  through: Outcomes,
  expected: readonly ExpectedDifference[],
): string[] {
  return [...direct]
    .filter(([test, outcome]) => outcome === 'pass' && through.get(test) !== 'pass')
    .map(([test]) => test)
    .filter((test) => !isExpected(test, expected))
}

/** How many tests passed. */
export function passed(outcomes: Outcomes): number {
  return [...outcomes.values()].filter((outcome) => outcome === 'pass').length
}
