import type { ConfigRow } from '../admin/admin-source.ts'
import type { Config } from '../config/config.ts'
import { needsRestart } from '../config/config-changes.ts'

/** The configuration as SHOW CONFIG lists it: `clusters.main.pool.size`. Secrets stay hidden. */
export function configRows(config: Config): ConfigRow[] {
  const rows: ConfigRow[] = []
  // JSON first: Secret says only that it is one.
  walk('', JSON.parse(JSON.stringify(config)) as unknown, rows)
  return rows
}

function walk(path: string, value: unknown, rows: ConfigRow[]): void {
  if (value === null || typeof value !== 'object') {
    rows.push({
      key: path,
      value: value === null ? null : String(value),
      default: null,
      changeable: needsRestart(path) ? 'no' : 'yes',
    })
    return
  }
  for (const [key, part] of Object.entries(value)) {
    const name = part !== null && typeof part === 'object' && 'name' in part ? part.name : key
    walk(path === '' ? key : `${path}.${Array.isArray(value) ? name : key}`, part, rows)
  }
}
