/** Reads one database's catalog over a connection of the primary, or of a standby in its place. */
import type { CatalogSets } from '../sql/catalog-sets.ts'
import {
  AGGREGATES,
  BEGIN_LOAD,
  CASTS,
  CLASS_USES,
  COLUMNS,
  changeProbe,
  END_LOAD,
  EVENT_TRIGGERS,
  expressionsQuery,
  FOREIGN_KEYS,
  functionsQuery,
  GLANCE,
  HANDLERS,
  INHERITANCE,
  NODE_PARAMETERS,
  OPERATOR_CLASSES,
  OPERATORS,
  PROBED_CATALOGS,
  type ProbedCatalog,
  RELATIONS,
  RULES,
  SELDOM_ALONE,
  SERVER,
  SESSION_SETUP,
  STATE_SEPARATOR,
  TREES,
  TRIGGERS,
  typesQuery,
  WHOLE_STATE,
} from './catalog-queries.ts'
import { type CatalogRows, flag, integer, type Queryable, type Row, text } from './catalog-rows.ts'
import { Closure } from './closure.ts'
import { Dependents } from './dependents.ts'
import { deriveSets } from './derive-sets.ts'

/** So often the catalog may have changed under a load before it is read in one transaction. */
const MAX_ATTEMPTS = 4

type Part = Exclude<keyof CatalogRows, 'serverVersion'>

/** What each part is read from; it is read again when one of these has changed. */
const SOURCES: Readonly<Record<Part, readonly ProbedCatalog[]>> = {
  functions: ['pg_proc', 'pg_extension'],
  aggregates: ['pg_aggregate'],
  operators: ['pg_operator'],
  casts: ['pg_cast'],
  types: ['pg_type', 'pg_class', 'pg_constraint'],
  relations: ['pg_class'],
  columns: ['pg_attribute', 'pg_class'],
  trees: ['pg_rewrite', 'pg_policy', 'pg_class'],
  inheritance: ['pg_inherits'],
  triggers: ['pg_trigger'],
  rules: ['pg_rewrite', 'pg_class'],
  expressions: [
    ...(['pg_attrdef', 'pg_constraint', 'pg_index', 'pg_policy', 'pg_proc'] as const),
    ...(['pg_partitioned_table', 'pg_statistic_ext'] as const),
  ],
  foreignKeys: ['pg_constraint'],
  eventTriggers: ['pg_event_trigger'],
  operatorClasses: ['pg_opclass', 'pg_amproc', 'pg_amop'],
  classUses: ['pg_opclass', 'pg_index', 'pg_partitioned_table', 'pg_type'],
  handlers: ['pg_class', 'pg_am', 'pg_index', 'pg_ts_template', 'pg_ts_parser', 'pg_conversion'],
  nodeParameters: ['pg_proc', 'pg_extension'],
}

function queryOf(part: Part, version: number): string {
  switch (part) {
    case 'functions':
      return functionsQuery(version)
    case 'aggregates':
      return AGGREGATES
    case 'operators':
      return OPERATORS
    case 'casts':
      return CASTS
    case 'types':
      return typesQuery(version)
    case 'relations':
      return RELATIONS
    case 'columns':
      return COLUMNS
    case 'trees':
      return TREES
    case 'inheritance':
      return INHERITANCE
    case 'triggers':
      return TRIGGERS
    case 'rules':
      return RULES
    case 'expressions':
      return expressionsQuery(version)
    case 'foreignKeys':
      return FOREIGN_KEYS
    case 'eventTriggers':
      return EVENT_TRIGGERS
    case 'operatorClasses':
      return OPERATOR_CLASSES
    case 'classUses':
      return CLASS_USES
    case 'handlers':
      return HANDLERS
    case 'nodeParameters':
      return NODE_PARAMETERS
    default:
      return part satisfies never
  }
}

/** Settings of the connection; once, before anything else. */
export async function prepareConnection(connection: Queryable): Promise<void> {
  await connection.query(SESSION_SETUP)
}

export interface LoadedCatalog {
  /** The probe's word for it. */
  readonly state: string
  readonly sets: CatalogSets
  readonly dependents: Dependents
}

/** Rows of one part, and the state of its catalogs that they were read in. */
interface ReadPart {
  readonly state: string
  readonly rows: readonly Row[]
}

/**
 * Loads a catalog, and what has changed of it since. No snapshot is held from one query to the
 * next, as VACUUM, CREATE INDEX CONCURRENTLY and others wait for such: that all rows are of one
 * state is shown by the change probe before and behind them.
 */
export class CatalogLoader {
  readonly #parts = new Map<Part, ReadPart>()
  #version = 0

  /**
   * The sets as `changes` told them, or later ones. Fails when the server is a standby and `changes`
   * are not one's.
   */
  async load(connection: Queryable, changes: Changes): Promise<LoadedCatalog> {
    const { isStandby } = changes
    let { state } = changes
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt === MAX_ATTEMPTS
      if (isLast) await connection.query(BEGIN_LOAD)
      try {
        if (isLast) ({ state } = await probeChanges(connection, { isStandby }))
        await this.#read(connection, state, isStandby)
        if (isLast) await connection.query(END_LOAD)
      } catch (error) {
        if (isLast) await connection.query('ROLLBACK').catch(() => undefined)
        throw error
      }
      if (isLast) break
      const after = await probeChanges(connection, { isStandby })
      if (after.state === state) break
      state = after.state
    }
    const rows = this.#rows()
    const closure = new Closure(rows)
    return { state, sets: deriveSets(rows, closure), dependents: new Dependents(rows, closure) }
  }

  /** Reads what is of another state. */
  async #read(connection: Queryable, state: string, isStandby: boolean): Promise<void> {
    const states = state.split(STATE_SEPARATOR)
    const server = (await connection.query(SERVER)).rows[0] ?? {}
    refuseStandby(server, isStandby)
    const version = integer(server, 'version')
    if (version !== this.#version) this.#parts.clear()
    this.#version = version
    for (const [part, sources] of Object.entries(SOURCES) as [Part, readonly ProbedCatalog[]][]) {
      const own = sources.map((name) => states[PROBED_CATALOGS.indexOf(name)]).join(STATE_SEPARATOR)
      if (this.#parts.get(part)?.state === own) continue
      const { rows } = await connection.query(queryOf(part, version))
      this.#parts.set(part, { state: own, rows })
    }
  }

  #rows(): CatalogRows {
    const rows = (part: Part): readonly Row[] => this.#parts.get(part)?.rows ?? []
    return {
      serverVersion: this.#version,
      functions: rows('functions'),
      aggregates: rows('aggregates'),
      operators: rows('operators'),
      casts: rows('casts'),
      types: rows('types'),
      relations: rows('relations'),
      columns: rows('columns'),
      trees: rows('trees'),
      inheritance: rows('inheritance'),
      triggers: rows('triggers'),
      rules: rows('rules'),
      expressions: rows('expressions'),
      foreignKeys: rows('foreignKeys'),
      eventTriggers: rows('eventTriggers'),
      operatorClasses: rows('operatorClasses'),
      classUses: rows('classUses'),
      handlers: rows('handlers'),
      nodeParameters: rows('nodeParameters'),
    }
  }
}

/** The sets of the connection's database. 50 to 100 ms on a schema of hundreds of relations. */
export async function loadCatalog(connection: Queryable): Promise<CatalogSets> {
  const loader = new CatalogLoader()
  return (await loader.load(connection, await probeChanges(connection))).sets
}

/** Texts that are the same as long as the sets, or the defaults of sessions, are. */
export interface Changes {
  readonly state: string
  readonly defaults: string
  readonly reloaded: string
  /** Which transactions had ended. */
  readonly snapshot: string
  /** Columns and types were taken to be as they had been. */
  readonly isBrief: boolean
  /** Asked of a standby, as there was no primary. */
  readonly isStandby: boolean
}

export interface ProbeOptions {
  /** The answer before on this connection. */
  readonly last?: Changes | null
  /** What columns or types alone would tell may be told by the next look. */
  readonly isBrief?: boolean
  /** A standby is asked in the place of a primary. */
  readonly isStandby?: boolean
}

/** Fails on a standby, unless `isStandby`. */
export async function probeChanges(
  connection: Queryable,
  { last = null, isBrief = false, isStandby = false }: ProbeOptions = {},
): Promise<Changes> {
  const ask = async (sql: string): Promise<Row> => {
    const row = (await connection.query(sql)).rows[0] ?? {}
    refuseStandby(row, isStandby)
    return row
  }
  // A standby's snapshot doesn't show which transactions are under way ("procarray.c",
  // GetSnapshotData: in recovery they are all in subxip), so not that one of them has ended.
  if (last !== null && (isBrief || !last.isBrief) && !isStandby) {
    const glance = await ask(GLANCE)
    const { snapshot } = last
    if (snapshotOf(glance) === snapshot) return { ...last, reloaded: text(glance, 'reloaded') }
  }
  const known = isBrief && last !== null ? seldomAlone(last.state) : NOTHING_KNOWN
  const row = await ask(changeProbe(known))
  return {
    state: text(row, 'state'),
    defaults: `${text(row, 'defaults')},${text(row, 'deleted')}`,
    reloaded: text(row, 'reloaded'),
    snapshot: snapshotOf(row),
    isBrief: known.size > 0,
    isStandby,
  }
}

function refuseStandby(row: Row, isExpected: boolean): void {
  if (!isExpected && flag(row, 'standby')) throw new Error('the catalog was asked of a standby')
}

/** The state of all that reads may depend on, and which transactions had ended when it was read. */
export interface WholeState {
  readonly state: string
  readonly snapshot: string
}

/** `last`: the answer before on this connection. Fails on a standby. */
export async function wholeState(
  connection: Queryable,
  last: WholeState | null,
): Promise<WholeState> {
  if (last !== null) {
    const glance = (await connection.query(GLANCE)).rows[0] ?? {}
    if (!flag(glance, 'standby') && text(glance, 'snapshot') === last.snapshot) return last
  }
  const row = (await connection.query(WHOLE_STATE)).rows[0] ?? {}
  refuseStandby(row, false)
  return { state: text(row, 'state'), snapshot: text(row, 'snapshot') }
}

const NOTHING_KNOWN: ReadonlyMap<ProbedCatalog, string> = new Map()

function seldomAlone(state: string): ReadonlyMap<ProbedCatalog, string> {
  const states = state.split(STATE_SEPARATOR)
  const known = new Map<ProbedCatalog, string>()
  for (const name of SELDOM_ALONE) {
    const own = states[PROBED_CATALOGS.indexOf(name)]
    if (own !== undefined) known.set(name, own)
  }
  return known
}

function snapshotOf(row: Row): string {
  return `${text(row, 'snapshot')} ${text(row, 'deleted')}`
}
