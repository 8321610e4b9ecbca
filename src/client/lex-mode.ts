import type { LexMode } from '../sql/lexer.ts'

/** Encodings whose second byte may be a backslash or a quote: the server converts before lexing. */
const unsafeEncodings = new Set([
  'SJIS',
  'SHIFT_JIS_2004',
  'BIG5',
  'GBK',
  'UHC',
  'GB18030',
  'JOHAB',
])

/**
 * How a session's texts are read, by the two settings that it depends on (PostgreSQL: "String
 * Constants", "Character Set Support").
 */
export class LexModes {
  #hasEscapes = false
  #encoding = 'UTF8'

  /** The mode after a ParameterStatus, or null: this parameter has nothing to do with it. */
  note(name: string, value: string): LexMode | null {
    if (name === 'standard_conforming_strings') this.#hasEscapes = value !== 'on'
    else if (name === 'client_encoding') this.#encoding = value.toUpperCase()
    else return null
    if (unsafeEncodings.has(this.#encoding)) return 'unsafe-encoding'
    if (this.#hasEscapes) return 'escape'
    return this.#encoding === 'UTF8' ? 'standard' : 'foreign-encoding'
  }
}
