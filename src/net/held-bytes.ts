/** Bytes that were read and not used yet: appended behind, used in front, each copied once. */
export class HeldBytes {
  #room: Buffer
  #from = 0
  #to = 0

  constructor(bytes: Buffer) {
    this.#room = Buffer.from(bytes)
    this.#to = bytes.length
  }

  get length(): number {
    return this.#to - this.#from
  }

  /** All of it; valid until the next `append`. */
  get bytes(): Buffer {
    return this.#room.subarray(this.#from, this.#to)
  }

  /** The first `count` have been used. */
  use(count: number): void {
    this.#from += count
  }

  append(bytes: Buffer): void {
    const { length } = this
    if (this.#to + bytes.length > this.#room.length) {
      const grown = Buffer.allocUnsafe(Math.max(256, length * 2, length + bytes.length))
      this.#room.copy(grown, 0, this.#from, this.#to)
      this.#room = grown
      this.#from = 0
      this.#to = length
    }
    bytes.copy(this.#room, this.#to)
    this.#to += bytes.length
  }
}
