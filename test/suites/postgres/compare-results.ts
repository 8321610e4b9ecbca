import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../../support/run-program.ts'
import type { ExpectedDifference } from './expected-differences.ts'
import { expectedTexts, type SuiteName, type SuiteRun } from './run-suite.ts'

export interface Comparison {
  /** Of each file that differs otherwise than expected: its name and the hunks. */
  readonly differing: readonly string[]
  /** Expected differences that always show and did not. */
  readonly stale: readonly string[]
}

/**
 * Holds two runs of a suite against each other, byte for byte. A file is the same, too, where
 * PostgreSQL itself accepts what came through pgsplit: then the direct run was out of the ordinary.
 */
export async function compareResults(
  version: 15 | 18,
  suite: SuiteName,
  direct: SuiteRun,
  proxied: SuiteRun,
  expected: readonly ExpectedDifference[],
): Promise<Comparison> {
  const differing: string[] = []
  const shown = new Set<ExpectedDifference>()
  for (const file of new Set([...direct.results.keys(), ...proxied.results.keys()])) {
    const before = direct.results.get(file) ?? '(the direct run has no such file)\n'
    const after = proxied.results.get(file) ?? '(the run through pgsplit has no such file)\n'
    if (before === after || expectedTexts(version, suite, file).includes(after)) continue
    const strange: string[] = []
    for (const hunk of await hunksOf(before, after)) {
      const known = expected.find((entry) => entry.file === file && entry.hunk === hunk)
      if (known === undefined) strange.push(hunk)
      else shown.add(known)
    }
    if (strange.length > 0) differing.push([`${file}:`, ...strange].join('\n'))
  }
  const stale = expected
    .filter((entry) => entry.isAlways && !shown.has(entry))
    .map(({ file, reason }) => `${file}: ${reason}`)
  return { differing, stale }
}

/** What `diff -U1` shows, `-` direct and `+` through pgsplit, without its line numbers. */
async function hunksOf(before: string, after: string): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'diff-'))
  try {
    const files = [join(directory, 'direct'), join(directory, 'pgsplit')]
    writeFileSync(files[0] ?? '', before, 'latin1')
    writeFileSync(files[1] ?? '', after, 'latin1')
    const { out } = await runProgram('diff', ['-U1', ...files])
    return out
      .split(/^@@.*\n/m)
      .slice(1)
      .map((hunk) => hunk.trimEnd())
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
