/** Arrays in PostgreSQL's text form (documentation, "Array Input and Output Syntax"). */

/** Reads `{a,"b,c",NULL}`, nested as deep as it is. Throws SyntaxError for what is no array. */
export function parseArray(
  text: string,
  read: (element: string) => unknown,
  delimiter: string,
): unknown[] {
  // `[0:1]={…}`: lower bounds other than 1 have no place in JavaScript.
  let at = text.startsWith('[') ? text.indexOf('=') + 1 : 0

  const element = (): unknown => {
    if (text[at] === '{') return list()
    if (text[at] === '"') return read(quoted())
    const from = at
    while (at < text.length && text[at] !== delimiter && text[at] !== '}') at++
    const bare = text.slice(from, at)
    return bare === 'NULL' ? null : read(bare)
  }

  const quoted = (): string => {
    let value = ''
    for (at++; at < text.length && text[at] !== '"'; at++) {
      if (text[at] === '\\') at++
      value += text[at] ?? ''
    }
    at++
    return value
  }

  const list = (): unknown[] => {
    const values: unknown[] = []
    if (text[at] !== '{') throw new SyntaxError('not an array of PostgreSQL')
    at++
    if (text[at] === '}') {
      at++
      return values
    }
    for (;;) {
      values.push(element())
      const end = text[at++]
      if (end === '}') return values
      if (end !== delimiter) throw new SyntaxError('an array of PostgreSQL that does not end')
    }
  }

  return list()
}

/** `write` makes the text of one element that is neither null nor a list; null = it is null after all. */
export function arrayText(
  values: readonly unknown[],
  write: (element: unknown) => string | null,
  delimiter: string,
): string {
  const texts = values.map((value) => {
    if (Array.isArray(value)) return arrayText(value, write, delimiter)
    const text = value === null ? null : write(value)
    return text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`
  })
  return `{${texts.join(delimiter)}}`
}
