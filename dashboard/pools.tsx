import type { PoolRow } from '../src/admin/admin-source.ts'
import { duration } from './format.ts'
import { SortedTable, type TableColumn } from './sorted-table.tsx'
import { usePolled } from './use-polled.ts'
import type { View } from './view.ts'

const waitMs = ({ maxwait, maxwait_us }: PoolRow): number => maxwait * 1000 + maxwait_us / 1000

const columns: readonly TableColumn<PoolRow>[] = [
  { name: 'Node', by: ({ node }) => node },
  { name: 'User', by: ({ user }) => user },
  { name: 'Database', by: ({ database }) => database },
  { name: 'Busy', by: ({ sv_active }) => sv_active, isNumber: true },
  { name: 'Idle', by: ({ sv_idle }) => sv_idle, isNumber: true },
  { name: 'Connecting', by: ({ sv_login }) => sv_login, isNumber: true },
  { name: 'Clients active', by: ({ cl_active }) => cl_active, isNumber: true },
  { name: 'Clients waiting', by: ({ cl_waiting }) => cl_waiting, isNumber: true },
  { name: 'Longest wait', by: waitMs, show: (row) => duration(waitMs(row)), isNumber: true },
  { name: 'Mode', by: ({ pool_mode }) => pool_mode },
  { name: 'Refused', by: ({ refused }) => refused ?? '', show: ({ refused }) => refused ?? '–' },
]

/** Server connections by node, user and database. */
export function Pools({ live }: View) {
  const rows = usePolled(() => live.api.rows<PoolRow>('pools'), 3_000, 'pools')
  if (rows === null) return <p class="quiet">…</p>
  if (rows.length === 0) return <p class="quiet">Nobody has used a server connection yet.</p>
  return (
    <SortedTable
      caption="Pools"
      columns={columns}
      rows={rows}
      keyOf={({ node, user, database }) => `${node}\0${user}\0${database}`}
      sortedBy="Busy"
    />
  )
}
