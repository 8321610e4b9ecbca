/** What stands in SQL that code puts together for what only its run shows. */

/** No name can hold this character. */
export const MARK = '\u0001'
export const NAME_PLACEHOLDER = `"${MARK}"`
export const LITERAL_PLACEHOLDER = `'${MARK}'`

/** Whether the value of a name or string constant is one that isn't shown. */
export function isPlaceholder(word: string): boolean {
  return word === MARK
}
