/**
 * Runs vitest with the arguments given (options, and paths in `test/`), and ends with one plain line of figures whatever the result.
 *
 * A file that failed runs once more at the end, alone: the machine may be shared, and a test that
 * passes then is called FLAKY and is no reason not to land. It is a bug all the same.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'

/** With more failed files than this nothing runs again: that is no flakiness. */
const maxAgain = 3

interface FileResult {
  readonly name: string
  readonly status: string
  readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
}

interface Run {
  readonly exitCode: number
  readonly files: readonly FileResult[]
}

function runVitest(args: readonly string[]): Run {
  const directory = mkdtempSync(join(tmpdir(), 'report-'))
  const report = join(directory, 'report.json')
  try {
    const { status } = spawnSync(
      'vitest',
      ['run', ...args, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
      { stdio: 'inherit' },
    )
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
    return { exitCode: status ?? 1, files: testResults }
  } catch (error) {
    console.log(`vitest gave no report: ${error instanceof Error ? error.message : error}`)
    return { exitCode: 1, files: [] }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const isFailed = ({ status }: { readonly status: string }): boolean => status === 'failed'

/** Another try of each file that failed; the file's new result if it passed, else the old one. */
function tryAgain(file: FileResult): FileResult {
  if (!isFailed(file)) return file
  const path = relative(process.cwd(), file.name)
  console.log(`\n=== once more, alone: ${path}`)
  const again = runVitest([...args.filter((arg) => !arg.startsWith('test/')), path])
  const result = again.files.find(({ name }) => name === file.name)
  if (again.exitCode !== 0 || result === undefined) return file
  const failed = file.assertionResults.filter(isFailed).map(({ fullName }) => fullName)
  for (const test of failed.length > 0 ? failed : ['(the whole file)']) {
    console.log(`=== FLAKY: ${path} ${test}`)
  }
  return result
}

/** A file that can't even be loaded has no tests to fail, and counts as one. */
function figures(files: readonly FileResult[]): string {
  const tests = files.flatMap(({ assertionResults }) => assertionResults)
  const broken = files.filter((file) => isFailed(file) && !file.assertionResults.some(isFailed))
  const passed = tests.filter(({ status }) => status === 'passed').length
  const failed = tests.filter(isFailed).length + broken.length
  const skipped = tests.length - passed - tests.filter(isFailed).length
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

const args = process.argv.slice(2)
const first = runVitest(args)
let { exitCode, files } = first
const failed = files.filter(isFailed).length
if (exitCode !== 0 && failed > 0 && failed <= maxAgain) {
  files = files.map(tryAgain)
  exitCode = files.some(isFailed) ? 1 : 0
}
const beganMs = Number(process.env.PGSPLIT_CI_BEGAN ?? 'NaN') * 1000
if (!Number.isNaN(beganMs)) {
  console.log(`=== all in all ${Math.round((Date.now() - beganMs) / 1000)} s`)
}
console.log(files.length === 0 ? '0 passed, 1 failed' : figures(files))
process.exitCode = exitCode
