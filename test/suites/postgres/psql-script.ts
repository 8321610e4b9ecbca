/** One piece of a psql script, with all its text up to the next one. */
export interface ScriptPiece {
  readonly kind: 'statement' | 'meta' | 'data'
  /** All of it, with what stands in front; the pieces of a script together are the script. */
  readonly source: string
  /** Of a statement: without the comments in front, and without the semicolon. */
  readonly text: string
}

/** Cuts a script where psql does: at semicolons, at backslash commands, and behind COPY's data. */
export function piecesOf(script: string): ScriptPiece[] {
  return new Splitter(script).split()
}

class Splitter {
  readonly #script: string
  readonly #pieces: ScriptPiece[] = []
  #at = 0
  #begunAt = 0
  /** Where the statement's first token stands; -1 while there is none. */
  #textAt = -1
  #depth = 0
  /** Nesting of BEGIN ATOMIC … END and CASE … END inside it. */
  #blocks = 0
  #isEscape = false

  constructor(script: string) {
    this.#script = script
  }

  split(): ScriptPiece[] {
    const script = this.#script
    while (this.#at < script.length) this.#step(script[this.#at] ?? '')
    if (this.#textAt >= 0) this.#end('statement', this.#at)
    return this.#pieces
  }

  #step(char: string): void {
    const script = this.#script
    const ahead = script[this.#at + 1]
    if (char === '-' && ahead === '-') this.#skipTo('\n')
    else if (char === '/' && ahead === '*') this.#skipComment()
    else if (/\s/.test(char)) this.#at++
    else if (char === '\\') this.#backslash()
    else {
      if (this.#textAt < 0) this.#textAt = this.#at
      this.#token(char)
    }
  }

  #token(char: string): void {
    switch (char) {
      case "'": {
        const before = this.#script.slice(Math.max(0, this.#at - 2), this.#at)
        this.#skipQuoted("'", this.#isEscape || /(^|[^\w$])e$/i.test(before))
        return
      }
      case '"':
        this.#skipQuoted('"', false)
        return
      case '$': {
        const tag = /^\$([A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$/.exec(
          this.#script.slice(this.#at, this.#at + 80),
        )
        if (tag === null) this.#at++
        else {
          const end = this.#script.indexOf(tag[0], this.#at + tag[0].length)
          this.#at = end < 0 ? this.#script.length : end + tag[0].length
        }
        return
      }
      case '(':
        this.#depth++
        this.#at++
        return
      case ')':
        this.#depth--
        this.#at++
        return
      case ';':
        this.#at++
        if (this.#depth <= 0 && this.#blocks === 0) this.#semicolon()
        return
      default:
        this.#word()
    }
  }

  #word(): void {
    const word = /^[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*/.exec(
      this.#script.slice(this.#at, this.#at + 100),
    )?.[0]
    if (word === undefined) {
      this.#at++
      return
    }
    const isRoutine = /^create\s/i.test(this.#script.slice(this.#textAt, this.#textAt + 7))
    const lower = word.toLowerCase()
    if (isRoutine && lower === 'begin') this.#blocks++
    else if (this.#blocks > 0 && lower === 'case') this.#blocks++
    else if (this.#blocks > 0 && lower === 'end') this.#blocks--
    // `E'…'` is looked at from its quote.
    this.#at += word.length
  }

  #semicolon(): void {
    const { text } = this.#end('statement', this.#at - 1)
    const scs = /^set\s+(?:session\s+)?standard_conforming_strings\s*(?:to|=)\s*'?(on|off)/i.exec(
      text,
    )
    if (scs !== null) this.#isEscape = scs[1]?.toLowerCase() === 'off'
    if (/^reset\s+(standard_conforming_strings|all)/i.test(text)) this.#isEscape = false
    if (/^copy\s[\s\S]*\sfrom\s+stdin/i.test(text)) this.#data()
  }

  #data(): void {
    const end = /^\\\.$/m.exec(this.#script.slice(this.#at))
    this.#at += end === null ? 0 : end.index + 2
    if (end !== null) this.#end('data', this.#at)
  }

  /** `\;` only separates; any other command ends the statement in front of it, and its line. */
  #backslash(): void {
    if (this.#script[this.#at + 1] === ';') {
      this.#at += 2
      if (this.#textAt >= 0) this.#end('statement', this.#at - 2)
      return
    }
    const stands = this.#textAt >= 0
    const textEnd = this.#at
    this.#skipTo('\n')
    const line = this.#script.slice(textEnd, this.#at)
    this.#end(stands ? 'statement' : 'meta', textEnd)
    if (/^\\copy\s.*\sfrom\s+(stdin|pstdin)/i.test(line)) this.#data()
  }

  #end(kind: ScriptPiece['kind'], textEnd: number): ScriptPiece {
    const piece = {
      kind,
      source: this.#script.slice(this.#begunAt, this.#at),
      text: this.#textAt < 0 ? '' : this.#script.slice(this.#textAt, textEnd),
    }
    this.#pieces.push(piece)
    this.#begunAt = this.#at
    this.#textAt = -1
    this.#depth = 0
    this.#blocks = 0
    return piece
  }

  #skipTo(what: string): void {
    const end = this.#script.indexOf(what, this.#at)
    this.#at = end < 0 ? this.#script.length : end
  }

  #skipComment(): void {
    let depth = 0
    do {
      const found = /\/\*|\*\//g
      found.lastIndex = this.#at
      const match = found.exec(this.#script)
      if (match === null) {
        this.#at = this.#script.length
        return
      }
      depth += match[0] === '/*' ? 1 : -1
      this.#at = found.lastIndex
    } while (depth > 0)
  }

  #skipQuoted(quote: string, escapes: boolean): void {
    this.#at++
    while (this.#at < this.#script.length) {
      const char = this.#script[this.#at]
      this.#at += char === '\\' && escapes ? 2 : 1
      if (char === quote) return
    }
  }
}
