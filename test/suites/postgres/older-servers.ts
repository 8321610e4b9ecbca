import { piecesOf } from './psql-script.ts'

/**
 * Tests of bugs that an earlier minor version has, as npm's servers may be: what ends the server, and
 * what answers with chance.
 */
const bugs = new RegExp(
  [
    'sqljson_mystr',
    "satisfies_hash_partition\\('mchash'::regclass, 4, 0, VARIADIC NULL",
    // Reads what lies behind the end of a character that is cut short.
    'ascii\\(test_bytea_to_text',
    "SELECT uuidv7\\('(-?infinity|-1000 years|9000 years)'",
  ].join('|'),
)

/** Whether an earlier minor version of the server can't do it. */
export function isNewerBug(text: string): boolean {
  return bugs.test(text)
}

/** The script without what an earlier minor version, and psql 15, can't run. */
export function withoutNewerBugs(script: string): string {
  // psql 15 would wait for ever at the commands of a later one.
  if (script.includes('\\getresults')) return ''
  if (!isNewerBug(script)) return script
  return piecesOf(script)
    .filter(({ text }) => !isNewerBug(text))
    .map(({ source }) => source)
    .join('')
}
