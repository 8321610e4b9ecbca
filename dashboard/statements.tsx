import { useState } from 'preact/hooks'
import type { StatementRow } from '../src/admin/admin-source.ts'
import type { StatementHistory } from '../src/history/statement-series.ts'
import { bytes, count, duration, percent } from './format.ts'
import type { Live } from './live.ts'
import { Plot } from './plot.tsx'
import { SortedTable, type TableColumn } from './sorted-table.tsx'
import { usePolled } from './use-polled.ts'
import type { View } from './view.ts'

const columns: readonly TableColumn<StatementRow>[] = [
  { name: 'Statement', by: ({ query }) => query, show: ({ query }) => <code>{query}</code> },
  { name: 'Calls', by: ({ calls }) => calls, show: ({ calls }) => count(calls), isNumber: true },
  {
    name: 'On primary',
    by: ({ calls, primary_calls }) => primary_calls / Math.max(calls, 1),
    show: ({ calls, primary_calls }) => percent(primary_calls, calls),
    isNumber: true,
  },
  {
    name: 'Time on primary',
    by: ({ primary_us }) => primary_us,
    show: ({ primary_us }) => duration(primary_us / 1000),
    isNumber: true,
  },
  {
    name: 'Time on replicas',
    by: ({ replica_us }) => replica_us,
    show: ({ replica_us }) => duration(replica_us / 1000),
    isNumber: true,
  },
  {
    name: 'p99',
    by: ({ p99_us }) => p99_us ?? 0,
    show: ({ p99_us }) => duration(p99_us === null ? null : p99_us / 1000),
    isNumber: true,
  },
  { name: 'Rows', by: ({ rows }) => rows, show: ({ rows }) => count(rows), isNumber: true },
  {
    name: 'Errors',
    by: ({ errors }) => errors,
    show: ({ errors }) => count(errors),
    isNumber: true,
  },
  {
    name: 'Why on primary',
    by: ({ reason }) => reason ?? '',
    show: ({ reason, advice }) => (
      <>
        {reason === null ? (
          <span class="quiet">–</span>
        ) : (
          <span class="chip">{reason.replaceAll('_', ' ')}</span>
        )}
        {advice !== null && <span class="chip advice">advice</span>}
      </>
    ),
  },
]

/** The statements that take most time; a row opens why it runs where it does, and what would change that. */
export function Statements({ live, cluster }: View) {
  const [wanted, setWanted] = useState('')
  const all = usePolled(() => live.api.rows<StatementRow>('statements'), 5_000, 'statements')
  const word = wanted.trim().toLowerCase()
  const rows = (all ?? []).filter(
    (row) => row.cluster === cluster.cluster && row.query.toLowerCase().includes(word),
  )
  return (
    <>
      <label class="find">
        Find{' '}
        <input
          type="search"
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      </label>
      {all !== null && rows.length === 0 ? (
        <p class="quiet">No statement has run yet{word === '' ? '' : ' that has this in it'}.</p>
      ) : (
        <SortedTable
          caption="Statements"
          columns={columns}
          rows={rows}
          keyOf={({ database, id }) => `${database} ${id}`}
          sortedBy="Time on primary"
          more={(row) => <Details live={live} row={row} />}
        />
      )}
    </>
  )
}

function Details({ live, row }: { readonly live: Live; readonly row: StatementRow }) {
  const path = `api/v1/statement_history?${new URLSearchParams({ cluster: row.cluster, id: row.id })}`
  const ask = async () => (await (await live.api.get(path)).json()) as StatementHistory
  const past = usePolled(ask, 10_000, path)
  const facts: readonly (readonly [string, string])[] = [
    ['database', row.database],
    ['p50', duration(row.p50_us === null ? null : row.p50_us / 1000)],
    ['p95', duration(row.p95_us === null ? null : row.p95_us / 1000)],
    ['p99', duration(row.p99_us === null ? null : row.p99_us / 1000)],
    ['answers', bytes(row.bytes)],
    ['run again elsewhere', count(row.retries)],
  ]
  return (
    <div class="details">
      <pre>{row.query}</pre>
      {row.why !== null && (
        <p>
          <b>Why it runs on the primary:</b> {row.why}.
        </p>
      )}
      {row.advice !== null && (
        <p class="advised">
          <b>What would change that:</b> {row.advice}.
        </p>
      )}
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {past !== null && past.primary.length > 1 && <Past past={past} />}
    </div>
  )
}

function Past({ past }: { readonly past: StatementHistory }) {
  const rows = past.primary.length
  const times = past.primary.map((_, i) => (past.atMs - (rows - 1 - i) * past.stepMs) / 1000)
  const range = [times[0] ?? 0, times.at(-1) ?? 1] as const
  const common = { times, range, height: 110, cursor: 'statement' }
  return (
    <div class="pair">
      <Plot
        {...common}
        title="Calls per second"
        format={count}
        lines={[
          { name: 'primary', colour: 'node-0', numbers: past.primary },
          { name: 'replicas', colour: 'node-1', numbers: past.replicas },
        ]}
      />
      <Plot
        {...common}
        title="Mean time"
        format={duration}
        lines={[{ name: 'mean', colour: 'line-p95', numbers: past.meanMs }]}
      />
    </div>
  )
}
