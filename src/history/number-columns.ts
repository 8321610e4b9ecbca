/** What a column holds: a number of one node, or of a whole cluster. */
export interface ColumnName {
  readonly cluster: string
  /** Null: of the whole cluster. */
  readonly node: string | null
  readonly what: string
}

interface Column {
  readonly name: ColumnName
  readonly numbers: Float32Array
  /** Row that was written last. */
  lastRow: number
}

/**
 * The last `capacity` rows of numbers in named columns, with the time of each row. A column that gets no
 * number for so long is dropped, so that memory is bounded by the nodes that there were.
 */
export class NumberColumns {
  readonly #capacity: number
  readonly #times: Float64Array
  readonly #columns = new Map<string, Column>()
  #rows = 0
  #version = 0

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#times = new Float64Array(capacity)
  }

  /** Grows when a column comes or goes. */
  get version(): number {
    return this.#version
  }

  get names(): readonly ColumnName[] {
    return [...this.#columns.values()].map(({ name }) => name)
  }

  /** Begins a row; what isn't `set` in it is NaN. */
  begin(atMs: number): void {
    const place = this.#rows++ % this.#capacity
    this.#times[place] = atMs
    for (const [key, column] of this.#columns) {
      column.numbers[place] = Number.NaN
      if (this.#rows - column.lastRow <= this.#capacity) continue
      this.#columns.delete(key)
      this.#version++
    }
  }

  /** Of the row that was begun last. */
  set(name: ColumnName, number: number): void {
    const key = `${name.cluster}\0${name.node ?? '\0'}\0${name.what}`
    let column = this.#columns.get(key)
    if (column === undefined) {
      const numbers = new Float32Array(this.#capacity).fill(Number.NaN)
      column = { name, numbers, lastRow: 0 }
      this.#columns.set(key, column)
      this.#version++
    }
    column.lastRow = this.#rows
    column.numbers[(this.#rows - 1) % this.#capacity] = number
  }

  /** Of the row that was begun last, in the order of `names`. */
  lastRow(): number[] {
    const place = (this.#rows - 1) % this.#capacity
    return [...this.#columns.values()].map(({ numbers }) => numbers[place] ?? Number.NaN)
  }

  /**
   * The last `count` rows as bytes: the length of a JSON text (uint32), the text (`names` and how many
   * `rows`; spaces behind it up to a multiple of 8), the times (float64, ms), then each column (float32;
   * NaN: unknown). All of it little-endian.
   */
  encode(count: number): Uint8Array<ArrayBuffer> {
    const rows = Math.min(count, this.#rows, this.#capacity)
    const text = Buffer.from(JSON.stringify({ rows, columns: this.names }))
    const head = 4 + text.length + ((8 - ((4 + text.length) % 8)) % 8)
    const bytes = Buffer.alloc(head + rows * (8 + 4 * this.#columns.size), ' ')
    bytes.writeUInt32LE(head - 4)
    text.copy(bytes, 4)
    let at = head
    const add = (numbers: Float64Array | Float32Array): void => {
      for (const part of this.#parts(numbers, rows)) {
        bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at)
        at += part.byteLength
      }
    }
    add(this.#times)
    for (const { numbers } of this.#columns.values()) add(numbers)
    return bytes
  }

  /** The last `rows` numbers in order: they may begin near the end of the ring. */
  #parts<T extends Float64Array | Float32Array>(numbers: T, rows: number) {
    const end = this.#rows % this.#capacity
    if (end >= rows) return [numbers.subarray(end - rows, end)]
    return [numbers.subarray(this.#capacity - (rows - end)), numbers.subarray(0, end)]
  }
}
