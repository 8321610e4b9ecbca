import { parseArgs } from 'node:util'
import type { Workload } from './pgbench.ts'

export interface BenchOptions {
  readonly cells: readonly Cell[]
  readonly rounds: number
  /** Length of one pgbench run. */
  readonly seconds: number
  readonly scale: number
  readonly replicas: number
  /** 0 = without. */
  readonly idleClients: number
  /** Rows of 1,000 bytes through the slow reader; 0 = without. */
  readonly slowRows: number
  readonly slowBytesPerSecond: number
  readonly embedded: boolean
  readonly write: boolean
  /** Contestants that do not take part, by lower-case name. */
  readonly without: ReadonlySet<string>
  readonly pgsplitArguments: readonly string[]
  /** Another checkout of pgsplit, measured beside this one; null = none. */
  readonly before: string | null
}

/** One line of the table. */
export interface Cell extends Workload {
  /** `simple:16`, `tpcb:16`: what `--only` selects, whole or up to the colon. */
  readonly id: string
}

const contestantNames = ['direct', 'pgsplit', 'pgbouncer', 'pgpool'] as const

const protocols = ['simple', 'extended', 'prepared'] as const
const everyCell: readonly Cell[] = [
  ...protocols.flatMap((protocol) =>
    [1, 16, 64].map((clients) => ({
      id: `${protocol}:${clients}`,
      script: 'select-only' as const,
      protocol,
      clients,
    })),
  ),
  { id: 'tpcb:16', script: 'tpcb-like', protocol: 'simple', clients: 16 },
]

export const usage = `npm run bench -- [options]

  --only LIST          cells, comma separated: ${everyCell.map(({ id }) => id).join(' ')}
                       idle slow-reader; "simple" is all of simple:…
  --rounds N           rounds over all cells, contestants interleaved (default 3)
  --seconds N          length of one pgbench run (default 3)
  --scale N            pgbench scale (default 10)
  --replicas N         streaming replicas (default 2)
  --idle-clients N     idle clients (default 1000)
  --slow-mb N          megabytes through the slow reader, each way (default 1000)
  --slow-rate N        megabytes per second that it reads (default 100)
  --no-NAME            without one of: ${contestantNames.join(' ')}
  --before DIR         another checkout of pgsplit, for what a change costs
  --pgsplit-args TEXT  more arguments for pgsplit serve
  --embedded           PostgreSQL from npm, even where /usr/lib/postgresql/15 is
  --write              put the result into test/bench/README.md`

/** @throws Error with one line when an option is unknown, or its value is not what it must be */
export function parseBenchOptions(argv: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean', short: 'h' },
      only: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      scale: { type: 'string', default: '10' },
      replicas: { type: 'string', default: '2' },
      'idle-clients': { type: 'string', default: '1000' },
      'slow-mb': { type: 'string', default: '1000' },
      'slow-rate': { type: 'string', default: '100' },
      'no-direct': { type: 'boolean' },
      'no-pgsplit': { type: 'boolean' },
      'no-pgbouncer': { type: 'boolean' },
      'no-pgpool': { type: 'boolean' },
      before: { type: 'string' },
      'pgsplit-args': { type: 'string', default: '' },
      embedded: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const only = values.only?.split(',')
  const unknown = only?.find((word) => !isCell(word))
  if (unknown !== undefined) throw new Error(`--only: there is no cell ${unknown}; see --help`)
  const isWanted = (id: string) => only === undefined || only.some((word) => names(word, id))
  return {
    cells: everyCell.filter(({ id }) => isWanted(id)),
    rounds: whole('--rounds', values.rounds, 1, 100),
    seconds: whole('--seconds', values.seconds, 1, 600),
    scale: whole('--scale', values.scale, 1, 1000),
    replicas: whole('--replicas', values.replicas, 0, 15),
    idleClients: isWanted('idle') ? whole('--idle-clients', values['idle-clients'], 1, 1900) : 0,
    slowRows: isWanted('slow-reader') ? whole('--slow-mb', values['slow-mb'], 1, 10_000) * 1000 : 0,
    slowBytesPerSecond: whole('--slow-rate', values['slow-rate'], 1, 10_000) * 1e6,
    embedded: values.embedded,
    write: values.write,
    before: values.before ?? null,
    without: new Set(contestantNames.filter((name) => values[`no-${name}`] === true)),
    pgsplitArguments: values['pgsplit-args'].split(/\s+/).filter((word) => word !== ''),
  }
}

function isCell(word: string): boolean {
  return [...everyCell.map(({ id }) => id), 'idle', 'slow-reader'].some((id) => names(word, id))
}

function names(word: string, id: string): boolean {
  return word === id || id.startsWith(`${word}:`)
}

function whole(option: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`${option} is ${text}; give a whole number from ${min} to ${max}`)
}
