import type { ClientRow } from '../src/admin/admin-source.ts'
import type { SessionList } from '../src/http/http-source.ts'
import { SortedTable, type TableColumn } from './sorted-table.tsx'
import { usePolled } from './use-polled.ts'
import type { View } from './view.ts'

const most = 200

const columns: readonly TableColumn<ClientRow>[] = [
  { name: 'Client', by: ({ id }) => id, isNumber: true },
  { name: 'User', by: ({ user }) => user },
  { name: 'Database', by: ({ database }) => database },
  { name: 'Application', by: ({ application_name }) => application_name },
  { name: 'From', by: ({ addr, port }) => `${addr}:${port}` },
  {
    name: 'State',
    by: ({ state }) => state,
    show: ({ state }) => <span class={`chip ${state === 'waiting' ? 'warn' : ''}`}>{state}</span>,
  },
  { name: 'Node', by: ({ node }) => node ?? '', show: ({ node }) => node ?? '–' },
  {
    name: 'Pinned',
    by: ({ pin_reason }) => pin_reason ?? '',
    show: ({ pin_reason }) => pin_reason ?? '–',
  },
  {
    name: 'Last route',
    by: ({ last_route }) => last_route ?? '',
    show: ({ last_route }) => last_route ?? '–',
  },
]

/** Who is connected, and what keeps it to its server connection. */
export function Sessions({ live }: View) {
  const ask = async () =>
    (await (await live.api.get(`api/v1/sessions?limit=${most}`)).json()) as SessionList
  const list = usePolled(ask, 3_000, 'sessions')
  if (list === null) return <p class="quiet">…</p>
  const pinned = Object.entries(list.pinned)
  return (
    <>
      <p class="summary">
        <b>{list.total}</b> connected
        {list.total > list.rows.length &&
          `, ${list.rows.length} shown: who waits or is pinned first`}
        .{pinned.length === 0 ? ' None is pinned.' : ' Pinned by '}
        {pinned.map(([reason, number]) => (
          <span key={reason} class="chip">
            {reason.replaceAll('_', ' ')} {number}
          </span>
        ))}
      </p>
      <SortedTable
        caption="Sessions"
        columns={columns}
        rows={list.rows}
        keyOf={({ id }) => String(id)}
        sortedBy="Pinned"
      />
    </>
  )
}
