import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'

export interface TableColumn<Row> {
  readonly name: string
  /** What it is sorted by; numbers begin with the greatest. */
  readonly by: (row: Row) => number | string
  readonly show?: (row: Row) => ComponentChildren
  readonly isNumber?: boolean
}

interface TableProps<Row> {
  readonly caption: string
  readonly columns: readonly TableColumn<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  readonly sortedBy: string
  /** What a row opens; its first cell is the button. */
  readonly more?: (row: Row) => ComponentChildren
  readonly first?: number
}

export function SortedTable<Row>(props: TableProps<Row>) {
  const { caption, columns, rows, keyOf, more, first = 50 } = props
  const [sort, setSort] = useState({ name: props.sortedBy, isDown: true })
  const [open, setOpen] = useState<string | null>(null)
  const [isAll, setAll] = useState(false)
  const column = columns.find(({ name }) => name === sort.name) ?? columns[0]
  const sorted =
    column === undefined ? rows : [...rows].sort((a, b) => compare(column.by(a), column.by(b)))
  if (sort.isDown) (sorted as Row[]).reverse()
  const shown = isAll ? sorted : sorted.slice(0, first)
  return (
    <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
      <table class="rows">
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ name, isNumber = false }) => {
              const isIt = name === sort.name
              const order = isIt ? (sort.isDown ? 'descending' : 'ascending') : 'none'
              return (
                <th key={name} scope="col" class={isNumber ? 'number' : ''} aria-sort={order}>
                  <button
                    type="button"
                    class="sort"
                    onClick={() => setSort({ name, isDown: isIt ? !sort.isDown : isNumber })}
                  >
                    {name}
                  </button>
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => {
            const key = keyOf(row)
            const isOpen = open === key
            return (
              <>
                <tr key={key} class={isOpen ? 'open' : ''}>
                  {columns.map(({ name, by, show, isNumber = false }, i) => {
                    const cell = show === undefined ? by(row) : show(row)
                    const isButton = i === 0 && more !== undefined
                    return (
                      <td key={name} class={isNumber ? 'number' : ''}>
                        {isButton ? (
                          <button
                            type="button"
                            class="opens"
                            aria-expanded={isOpen}
                            onClick={() => setOpen(isOpen ? null : key)}
                          >
                            {cell}
                          </button>
                        ) : (
                          cell
                        )}
                      </td>
                    )
                  })}
                </tr>
                {isOpen && (
                  <tr key={`${key}+`} class="more">
                    <td colSpan={columns.length}>{more?.(row)}</td>
                  </tr>
                )}
              </>
            )
          })}
        </tbody>
      </table>
      {rows.length > shown.length && (
        <p class="all">
          <button type="button" onClick={() => setAll(true)}>
            Show all {rows.length}
          </button>
        </p>
      )}
    </div>
  )
}

function compare(one: number | string, other: number | string): number {
  return typeof one === 'number' && typeof other === 'number'
    ? one - other
    : String(one).localeCompare(String(other))
}
