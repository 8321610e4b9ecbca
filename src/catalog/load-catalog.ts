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
  keysQuery,
  NODE_PARAMETERS,
  OPERATOR_CLASSES,
  OPERATORS,
  PROBED_CATALOGS,
  type ProbedCatalog,
  RULES,
  SELDOM_ALONE,
  SERVER,
  SESSION_SETUP,
  STATE_SEPARATOR,
  TREE_KEYS,
  TRIGGERS,
  treesQuery,
  typesQuery,
  WHOLE_STATE,
} from './catalog-queries.ts'
import { type CatalogRows, flag, integer, type Queryable, type Row, text } from './catalog-rows.ts'
import { allRelations, changedRows, changedSince, inOrder, type ReadPart } from './changed-rows.ts'
import { Closure } from './closure.ts'
import { Dependents } from './dependents.ts'
import { deriveInSteps } from './derive-sets.ts'
import { notableRelations, rowsOf } from './notable-relations.ts'
import { noRelations } from './relations.ts'

/** So often the catalog may have changed under a load before it is read in one transaction. */
const MAX_ATTEMPTS = 4

type Part = Exclude<keyof CatalogRows, 'serverVersion' | 'relations'>

/** What each part is read from; it is read again when one of these has changed. */
const SOURCES: Readonly<Record<Part, readonly ProbedCatalog[]>> = {
  functions: ['pg_proc', 'pg_extension'],
  aggregates: ['pg_aggregate'],
  operators: ['pg_operator'],
  casts: ['pg_cast'],
  types: ['pg_type', 'pg_constraint'],
  columns: ['pg_attribute'],
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

/** Of parts that are long: the keys that there are. Only what has changed of them is read again. */
const KEYS: Readonly<Partial<Record<Part, string>>> = {
  functions: keysQuery('pg_proc'),
  trees: TREE_KEYS,
}

function queryOf(part: Part, version: number, since: number | null): string {
  switch (part) {
    case 'functions':
      return functionsQuery(version, since)
    case 'aggregates':
      return AGGREGATES
    case 'operators':
      return OPERATORS
    case 'casts':
      return CASTS
    case 'types':
      return typesQuery(version)
    case 'columns':
      return COLUMNS
    case 'trees':
      return treesQuery(since)
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

/**
 * Loads a catalog, and what has changed of it since. No snapshot is held from one query to the
 * next, as VACUUM, CREATE INDEX CONCURRENTLY and others wait for such: that all rows are of one
 * state is shown by the change probe before and behind them.
 */
export class CatalogLoader {
  readonly #parts = new Map<Part, ReadPart>()
  #relations = noRelations
  /** State, connection and xid as those of a `ReadPart`. */
  #relationsRead: Omit<ReadPart, 'rows'> | null = null
  #version = 0

  /**
   * The sets as `changes` told them, or later ones. Fails when the server is a standby and `changes`
   * are not one's.
   */
  async load(connection: Queryable, changes: Changes): Promise<LoadedCatalog> {
    const { isStandby } = changes
    let current = changes
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt === MAX_ATTEMPTS
      if (isLast) await connection.query(BEGIN_LOAD)
      try {
        if (isLast) current = await probeChanges(connection, { isStandby })
        await this.#read(connection, current)
        if (isLast) await connection.query(END_LOAD)
      } catch (error) {
        if (isLast) await connection.query('ROLLBACK').catch(() => undefined)
        throw error
      }
      if (isLast) break
      const after = await probeChanges(connection, { last: current, isStandby })
      if (after.state === current.state) break
      current = after
    }
    return await this.#derive(current.state)
  }

  /** In steps: others are served between them. */
  async #derive(state: string): Promise<LoadedCatalog> {
    const rows = this.#rows()
    const others = this.#relations
    await turn()
    const closure = new Closure(rows)
    const steps = deriveInSteps(rows, closure, others)
    for (;;) {
      await turn()
      const { done, value } = steps.next()
      if (done) return { state, sets: value, dependents: new Dependents(rows, closure, others) }
    }
  }

  /** Reads what is of another state. */
  async #read(connection: Queryable, changes: Changes): Promise<void> {
    const states = changes.state.split(STATE_SEPARATOR)
    const server = (await connection.query(SERVER)).rows[0] ?? {}
    refuseStandby(server, changes.isStandby)
    const version = integer(server, 'version')
    if (version !== this.#version) {
      this.#parts.clear()
      this.#relationsRead = null
    }
    this.#version = version
    const xid = changes.isStandby ? null : oldestXid(changes)
    for (const [part, sources] of Object.entries(SOURCES) as [Part, readonly ProbedCatalog[]][]) {
      const state = sources.map((name) => stateOf(states, name)).join(STATE_SEPARATOR)
      const known = this.#parts.get(part)
      if (known?.state === state) continue
      const query = (since: number | null) => queryOf(part, version, since)
      const keys = KEYS[part]
      const changed = keys === undefined ? null : await changedRows(connection, known, query, keys)
      const rows = changed ?? (await connection.query(query(null))).rows
      this.#parts.set(part, {
        state,
        rows: keys === undefined ? rows : inOrder(rows),
        connection,
        xid,
      })
    }
    const state = stateOf(states, 'pg_class')
    if (this.#relationsRead?.state === state) return
    const count = Number(state.split(',')[0])
    const known = this.#relationsRead
    const isKnown = known?.connection === connection && known.xid !== null
    let relations = isKnown
      ? await changedSince(connection, this.#relations, known.xid, count)
      : null
    relations ??= await allRelations(connection, this.#relations)
    this.#relations = relations
    this.#relationsRead = { state, connection, xid }
  }

  #rows(): CatalogRows {
    const rows = (part: Part): readonly Row[] => this.#parts.get(part)?.rows ?? []
    const parts = {
      columns: rows('columns'),
      trees: rows('trees'),
      inheritance: rows('inheritance'),
      triggers: rows('triggers'),
      rules: rows('rules'),
      expressions: rows('expressions'),
      foreignKeys: rows('foreignKeys'),
      classUses: rows('classUses'),
      handlers: rows('handlers'),
    }
    const { relations, types } = rowsOf(notableRelations(parts, this.#relations))
    return {
      ...parts,
      serverVersion: this.#version,
      functions: rows('functions'),
      aggregates: rows('aggregates'),
      operators: rows('operators'),
      casts: rows('casts'),
      types: [...rows('types'), ...types],
      relations,
      eventTriggers: rows('eventTriggers'),
      operatorClasses: rows('operatorClasses'),
      nodeParameters: rows('nodeParameters'),
    }
  }
}

/** Lets everything else have its turn, whatever a test has made of the timers. */
const later = setImmediate
function turn(): Promise<void> {
  return new Promise((resolve) => later(resolve))
}

function stateOf(states: readonly string[], name: ProbedCatalog): string {
  return states[PROBED_CATALOGS.indexOf(name)] ?? ''
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

/** The oldest transaction that was under way, as a 32-bit xid: all that is seen later is no older. */
function oldestXid({ snapshot }: Changes): number | null {
  const xmin = /^\d+/.exec(snapshot)
  return xmin === null ? null : Number(BigInt.asUintN(32, BigInt(xmin[0])))
}

function snapshotOf(row: Row): string {
  return `${text(row, 'snapshot')} ${text(row, 'deleted')}`
}
