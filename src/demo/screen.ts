/** Where the demo writes to: `process.stdout`. */
export interface Output {
  readonly isTTY?: boolean
  write(text: string): unknown
}

/**
 * Lines that stay and a block at the bottom that is replaced, where the output is a terminal. In a
 * file or pipe, each block is appended.
 */
export class Screen {
  readonly #output: Output
  #blockLines = 0

  constructor(output: Output) {
    this.#output = output
  }

  /** Writes lines that stay, above the block. */
  print(...lines: readonly string[]): void {
    this.#output.write(`${this.#erase()}${lines.join('\n')}\n`)
  }

  /** Shows the block in place of the one before. */
  show(lines: readonly string[]): void {
    this.#output.write(`${this.#erase()}${lines.join('\n')}\n`)
    if (this.#output.isTTY === true) this.#blockLines = lines.length
  }

  // ECMA-48: CUU, cursor up; ED 0, erase from there to the end
  #erase(): string {
    const up = this.#blockLines
    this.#blockLines = 0
    return up === 0 ? '' : `\x1b[${up}A\x1b[0J`
  }
}
