import { PgSplitError } from '../errors.ts'

/**
 * Splits what an admin client typed into statements, each a list of tokens: words in lower case
 * and without `pg_catalog.` in front, `'strings'` and `"identifiers"` as written, every other
 * character alone. Comments fall away, empty statements too.
 *
 * This is not the SQL lexer of `sql/`: the admin language has no operators, no dollar quotes and
 * no literals that matter, and this room stays free of routing code.
 *
 * @throws PgSplitError 42601 for a quote or comment that does not end
 */
export function splitAdminText(text: string): string[][] {
  const statements: string[][] = []
  let tokens: string[] = []
  token.lastIndex = 0
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const found = match[0]
    if (match.groups?.blank !== undefined) continue
    if (match.groups?.open !== undefined) throw unterminated(found)
    if (found === ';') {
      if (tokens.length > 0) statements.push(tokens)
      tokens = []
    } else {
      tokens.push(match.groups?.word === undefined ? found : folded(found))
    }
  }
  if (tokens.length > 0) statements.push(tokens)
  return statements
}

/** Alternatives exclude each other by their first characters, so no input makes it backtrack. */
const token = new RegExp(
  [
    String.raw`(?<blank>\s+|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)`,
    String.raw`(?<word>[\w$.\u0080-\uffff]+)`,
    `'[^']*'|"[^"]*"`,
    String.raw`(?<open>['"]|/\*)`,
    '[^]',
  ].join('|'),
  'g',
)

function folded(word: string): string {
  return word.toLowerCase().replace(/^pg_catalog\./, '')
}

function unterminated(opening: string): PgSplitError {
  return new PgSplitError({
    sqlstate: '42601',
    message: `unterminated ${opening === '/*' ? 'comment' : 'quoted text'} in admin command`,
    hint: 'SHOW HELP lists the commands of the admin database',
  })
}
