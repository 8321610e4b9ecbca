import type { ColumnName } from '../src/history/number-columns.ts'

const keep = 3_600
/** Old rows are cut off some at a time. */
const slack = 200

const keyOf = ({ cluster, node, what }: ColumnName): string =>
  `${cluster}\0${node ?? '\0'}\0${what}`

/** The last hour of numbers, row by row: what came in the history, and what each second has brought. */
export class Series {
  #timesMs: number[] = []
  readonly #columns = new Map<string, (number | null)[]>()
  #order: readonly string[] = []

  get lastMs(): number {
    return this.#timesMs.at(-1) ?? 0
  }

  /** What `numbers` of later rows are. */
  order(names: readonly ColumnName[]): void {
    this.#order = names.map(keyOf)
  }

  add(atMs: number, numbers: readonly (number | null)[]): void {
    if (atMs <= this.lastMs) return
    this.#timesMs.push(atMs)
    for (const [i, key] of this.#order.entries()) {
      let column = this.#columns.get(key)
      if (column === undefined) {
        column = new Array(this.#timesMs.length - 1).fill(null)
        this.#columns.set(key, column)
      }
      column.push(numbers[i] ?? null)
    }
    for (const column of this.#columns.values()) {
      if (column.length < this.#timesMs.length) column.push(null)
    }
    if (this.#timesMs.length > keep + slack) this.#cut(slack)
  }

  /** In place of all that was before. See `NumberColumns.encode` for the bytes. */
  load(bytes: ArrayBuffer): void {
    const headLength = new DataView(bytes).getUint32(0, true)
    const text = new TextDecoder().decode(new Uint8Array(bytes, 4, headLength))
    const { rows, columns } = JSON.parse(text) as { rows: number; columns: ColumnName[] }
    let at = 4 + headLength
    this.#timesMs = [...new Float64Array(bytes, at, rows)]
    at += 8 * rows
    this.#columns.clear()
    for (const name of columns) {
      const numbers = Array.from(new Float32Array(bytes, at, rows), (one) =>
        Number.isNaN(one) ? null : one,
      )
      this.#columns.set(keyOf(name), numbers)
      at += 4 * rows
    }
  }

  /** Times from `fromMs` on, in seconds, as plots want them. */
  times(fromMs: number): number[] {
    return this.#timesMs.slice(this.#from(fromMs)).map((ms) => ms / 1000)
  }

  /** Numbers of the same rows. */
  numbers(name: ColumnName, fromMs: number): (number | null)[] {
    const from = this.#from(fromMs)
    const column = this.#columns.get(keyOf(name))
    return column?.slice(from) ?? new Array(this.#timesMs.length - from).fill(null)
  }

  last(cluster: string, node: string | null, what: string): number | null {
    return this.#columns.get(keyOf({ cluster, node, what }))?.at(-1) ?? null
  }

  sum(cluster: string, node: string | null, what: string, fromMs: number): number {
    let sum = 0
    for (const number of this.numbers({ cluster, node, what }, fromMs)) sum += number ?? 0
    return sum
  }

  #from(fromMs: number): number {
    let [low, high] = [0, this.#timesMs.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#timesMs[middle] as number) < fromMs) low = middle + 1
      else high = middle
    }
    return low
  }

  #cut(rows: number): void {
    this.#timesMs.splice(0, rows)
    for (const column of this.#columns.values()) column.splice(0, rows)
  }
}
