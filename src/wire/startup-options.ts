import { PgSplitError } from '../errors.ts'

/** A setting that a client asked for at its start. */
export interface Setting {
  readonly name: string
  readonly value: string
}

/**
 * Parses the startup parameter `options`, a command line: words at blanks (`\ ` is a blank inside
 * one, `\\` a backslash), each `-c name=value`, `-cname=value` or `--name=value`; dashes in a name
 * stand for underscores. Returns the FATAL error where PostgreSQL would, instead of throwing it:
 * also for its other switches, which pgsplit has no use for.
 */
export function parseStartupOptions(options: string): Setting[] | PgSplitError {
  const settings: Setting[] = []
  const words = splitWords(options)
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string
    let text: string | undefined
    if (word.startsWith('--')) text = word.slice(2)
    else if (word === '-c') text = words[++i]
    else if (word.startsWith('-c')) text = word.slice(2)
    else return invalid(`"${clip(word)}" is not supported`)
    if (text === undefined) return invalid('-c is the last word')
    const equals = text.indexOf('=')
    if (equals < 0) return invalid(`"${clip(text)}" has no value`)
    if (equals === 0) return invalid('a setting has no name')
    settings.push({
      name: text.slice(0, equals).replaceAll('-', '_'),
      value: text.slice(equals + 1),
    })
  }
  return settings
}

function splitWords(text: string): string[] {
  const words: string[] = []
  let word: string | null = null
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string
    if (char === '\\') word = (word ?? '') + (text[++i] ?? '')
    else if (/[ \t\n\v\f\r]/.test(char)) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + char
  }
  if (word !== null) words.push(word)
  return words
}

function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}

function invalid(detail: string): PgSplitError {
  return new PgSplitError({
    sqlstate: '42601',
    message: `invalid startup parameter "options": ${detail}`,
    hint: 'Write settings as -c name=value or --name=value, separated by blanks.',
    severity: 'FATAL',
  })
}
