import { piecesOf } from './psql-script.ts'

/** Tests of bugs that end the servers of an earlier minor version, as npm's may be. */
const crashing = /sqljson_mystr|satisfies_hash_partition\('mchash'::regclass, 4, 0, VARIADIC NULL/

/** Whether an earlier minor version of the server doesn't survive the statement. */
export function isCrashing(text: string): boolean {
  return crashing.test(text)
}

/** The script without what an earlier minor version, and psql 15, can't run. */
export function withoutNewerBugs(script: string): string {
  // psql 15 would wait for ever at the commands of a later one.
  if (script.includes('\\getresults')) return ''
  if (!crashing.test(script)) return script
  return piecesOf(script)
    .filter(({ text }) => !isCrashing(text))
    .map(({ source }) => source)
    .join('')
}
