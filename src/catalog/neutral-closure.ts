/**
 * What a use of anything in the catalog leaves in the session that uses it, by all that it runs:
 * the counterpart of `closure.ts`, which asks what a replica can't do. What is in none of the maps
 * is proved to be neutral.
 */
import { callEffects } from '../sql/built-in-use.ts'
import type { RelationUse, SessionUse } from '../sql/catalog-sets.ts'
import { PUTS_TOGETHER, replaced } from '../sql/session-uses.ts'
import { SourceReader, VERBS, type Verb } from '../sql/source-reader.ts'
import type { Effect } from '../sql/statement-class.ts'
import { FIRST_USER_OID } from './catalog-queries.ts'
import {
  type CatalogRows,
  integer,
  isOfWritesOnly,
  oids,
  parseChecks,
  parseTree,
  type Row,
  type TreeReferences,
  text,
} from './catalog-rows.ts'
import type { FunctionFacts } from './function-facts.ts'
import { IMPLICIT_OPERATORS } from './function-lists.ts'
import { ownUse } from './function-use.ts'
import { NeutralGraph, type Node, nodeOf, RELATION_USES } from './neutral-graph.ts'

/** Uses of a relation by the event of a rule (pg_rewrite.ev_type). */
const RULE_EVENTS: Readonly<Record<string, RelationUse>> = {
  1: 'read',
  2: 'update',
  3: 'insert',
  4: 'delete',
}

/** Bits of pg_trigger.tgtype. */
const TRIGGER_EVENTS: readonly [number, Verb][] = [
  [4, 'insert'],
  [8, 'delete'],
  [16, 'update'],
  [32, 'truncate'],
]

/** What stands for DDL that event triggers see, and for any statement at all. */
const EVENT: Node = -1
const EVERY: Node = -2

/** What is asked of each thing by itself. */
export interface ClosureQuestion {
  readonly ofFunction: typeof ownUse
  readonly ofTree?: (tree: TreeReferences) => readonly Effect[]
  readonly ofType?: (oid: number) => readonly Effect[]
}

export class NeutralClosure {
  readonly graph = new NeutralGraph()
  /** Functions that create or alter what outlives the session, also through others. */
  readonly ddlFunctions = new Set<string>()
  readonly #question: ClosureQuestion
  readonly #rows: CatalogRows
  readonly #functions: readonly FunctionFacts[]
  /** Names of the things that code may name → their oids. */
  readonly #functionsByName = new Map<string, number[]>()
  readonly #typesByName = new Map<string, number[]>()
  readonly #relationsByName = new Map<string, number[]>()
  readonly #operatorsByName = new Map<string, number[]>()
  readonly #setConfig = new Set<number>()
  readonly #volatile = new Set<number>()
  /** Of `PUTS_TOGETHER`. */
  readonly replacedNames = new Set<string>()
  readonly #makers = new NeutralGraph()

  constructor(
    rows: CatalogRows,
    functions: readonly FunctionFacts[],
    question: ClosureQuestion = { ofFunction: ownUse },
  ) {
    this.#question = question
    this.#rows = rows
    this.#functions = functions
    this.#index()
    this.#addFunctions()
    this.#addTypes()
    this.#addOperators()
    this.#addRelations()
    this.graph.close()
    this.#makers.close()
    for (const fn of functions) {
      if (this.#makers.use(nodeOf('function', fn.oid)) !== null) this.ddlFunctions.add(fn.name)
    }
  }

  /** What DDL does by the event triggers that see it. */
  get event(): SessionUse | null {
    return this.graph.use(EVENT)
  }

  /** What any statement may do, unseen in its text. */
  get every(): SessionUse | null {
    return this.graph.use(EVERY)
  }

  #index(): void {
    for (const { oid, name, builtIn, volatility } of this.#functions) {
      if (volatility === 'v') this.#volatile.add(oid)
      if (name === 'set_config' && builtIn) this.#setConfig.add(oid)
      // What compiled built-ins do is read at their call, with their arguments.
      if (!builtIn) push(this.#functionsByName, name, oid)
    }
    for (const name of PUTS_TOGETHER) {
      if (this.#functionsByName.has(name)) this.replacedNames.add(name)
    }
    for (const row of this.#rows.operators) {
      const sides = [integer(row, 'left_type'), integer(row, 'right_type')]
      const isOwn = sides.some((oid) => oid >= FIRST_USER_OID)
      if (text(row, 'name') === '||' && !isOwn) this.replacedNames.add('||')
    }
    for (const row of this.#rows.types)
      push(this.#typesByName, text(row, 'name'), integer(row, 'oid'))
    for (const row of this.#rows.relations) {
      push(this.#relationsByName, text(row, 'name'), integer(row, 'oid'))
    }
    for (const row of this.#rows.operators) {
      push(this.#operatorsByName, text(row, 'name'), integer(row, 'oid'))
    }
  }

  #addFunctions(): void {
    const { graph } = this
    const aliases = new Map<string, string>()
    for (const { builtIn, source, name, row } of this.#functions) {
      if (builtIn && text(row, 'language') === 'internal') aliases.set(source, name)
    }
    const found = this.#functions.map((fn) => ({ fn, use: this.#question.ofFunction(fn, aliases) }))
    for (const { fn, use } of found) {
      const isKnown = callEffects(fn.name)?.length !== 0
      if (fn.builtIn && use.effects.length > 0 && !isKnown) {
        push(this.#functionsByName, fn.name, fn.oid)
      }
    }
    for (const { fn, use } of found) {
      const node = nodeOf('function', fn.oid)
      graph.does(node, use.effects, use.pin)
      if (fn.builtIn) continue
      for (const type of fn.types) this.#usesType(node, type)
      this.#usesTree(node, fn.tree, fn.row)
      const support = integer(fn.row, 'support')
      if (support >= FIRST_USER_OID) graph.uses(node, nodeOf('function', support))
      if (use.reader !== null) this.#usesSource(node, use.reader)
    }
    for (const row of this.#rows.aggregates) {
      const node = nodeOf('function', integer(row, 'oid'))
      for (const part of oids(row, 'parts')) {
        graph.uses(node, nodeOf('function', part))
        this.#makers.uses(node, nodeOf('function', part))
      }
    }
  }

  /** Everything that code names, whatever it names it for. */
  #usesSource(node: Node, reader: SourceReader): void {
    const { graph } = this
    const uses: RelationUse[] = ['read', ...reader.verbs]
    for (const name of reader.called) {
      for (const oid of this.#functionsByName.get(name) ?? []) {
        graph.uses(node, nodeOf('function', oid))
        this.#makers.uses(node, nodeOf('function', oid))
      }
    }
    for (const name of reader.names) {
      for (const oid of this.#typesByName.get(name) ?? []) this.#usesType(node, oid)
      for (const oid of this.#relationsByName.get(name) ?? []) {
        for (const use of uses) graph.uses(node, nodeOf(use, oid))
      }
    }
    for (const name of reader.operators) {
      for (const oid of this.#operatorsByName.get(name) ?? []) {
        graph.uses(node, nodeOf('operator', oid))
      }
    }
    if (reader.usesAny) {
      graph.uses(node, nodeOf('type', 0))
      for (const use of uses) graph.uses(node, nodeOf(use, 0))
    }
    for (const name of reader.trusted) {
      if (this.replacedNames.has(name)) graph.does(node, replaced(name).effects)
    }
    if (reader.runsDdl) graph.uses(node, EVENT)
    if (reader.createsObjects) this.#makers.does(node, [{ kind: 'ddl', touches: null }])
    graph.uses(node, EVERY)
  }

  #usesType(node: Node, oid: number): void {
    if (oid !== 0) this.graph.uses(node, nodeOf('type', oid))
  }

  #usesTree(node: Node, tree: TreeReferences, row: Row): void {
    const { graph } = this
    graph.does(node, this.#question.ofTree?.(tree) ?? [])
    for (const oid of tree.functions) {
      if (this.#setConfig.has(oid)) graph.does(node, shownEffects(text(row, 'shown')))
      else graph.uses(node, nodeOf('function', oid))
      this.#makers.uses(node, nodeOf('function', oid))
    }
    for (const oid of tree.operators) graph.uses(node, nodeOf('operator', oid))
    for (const oid of tree.types) this.#usesType(node, oid)
    if (tree.fillsTable) graph.uses(node, nodeOf('type', 0))
    const uses: RelationUse[] = ['read', ...tree.verbs]
    for (const oid of tree.relations) for (const use of uses) graph.uses(node, nodeOf(use, oid))
  }

  #addTypes(): void {
    const { graph } = this
    for (const row of this.#rows.types) {
      const oid = integer(row, 'oid')
      const node = nodeOf('type', oid)
      const isUser = oid >= FIRST_USER_OID
      graph.does(node, this.#question.ofType?.(oid) ?? [])
      if (isUser) {
        for (const fn of oids(row, 'functions')) {
          if (fn >= FIRST_USER_OID) graph.uses(node, nodeOf('function', fn))
        }
        this.#usesTree(node, parseChecks(row), row)
        this.#usesType(node, integer(row, 'element'))
        // A row of the relation is made of its columns' types; see #addRelations.
        const relation = integer(row, 'relation')
        if (relation !== 0) graph.uses(node, nodeOf('type', -relation))
      }
      this.#usesType(node, integer(row, 'base'))
      this.#usesType(node, integer(row, 'subtype'))
      for (const made of [integer(row, 'array'), integer(row, 'multirange')]) {
        if (made !== 0 && isUser) graph.uses(nodeOf('type', made), node)
      }
    }
    for (const row of this.#rows.casts) {
      const fn = nodeOf('function', integer(row, 'function'))
      const types = [integer(row, 'source'), integer(row, 'target')]
      const users = types.filter((oid) => oid >= FIRST_USER_OID)
      for (const oid of users) graph.uses(nodeOf('type', oid), fn)
      if (users.length > 0) continue
      graph.uses(text(row, 'context') === 'e' ? nodeOf('type', types[1] ?? 0) : EVERY, fn)
    }
    for (const row of this.#rows.operatorClasses) {
      const type = integer(row, 'type')
      const isUser = type >= FIRST_USER_OID
      const own = nodeOf('type', -integer(row, 'oid') - CLASSES)
      for (const fn of oids(row, 'functions')) {
        graph.uses(own, nodeOf('function', fn))
        if (isUser) graph.uses(nodeOf('type', type), nodeOf('function', fn))
        else if (text(row, 'default') === 'true') graph.uses(EVERY, nodeOf('function', fn))
      }
      for (const oid of oids(row, 'operators')) graph.uses(nodeOf('operator', oid), own)
    }
    for (const row of this.#rows.classUses) {
      const own = nodeOf('type', -integer(row, 'class') - CLASSES)
      const relation = integer(row, 'relation')
      if (relation === 0) graph.uses(nodeOf('type', integer(row, 'type')), own)
      else for (const use of RELATION_USES) graph.uses(nodeOf(use, relation), own)
    }
  }

  #addOperators(): void {
    const { graph } = this
    for (const row of this.#rows.operators) {
      const node = nodeOf('operator', integer(row, 'oid'))
      const sides = [integer(row, 'left_type'), integer(row, 'right_type')]
      const users = sides.filter((oid) => oid >= FIRST_USER_OID)
      const isImplicit = IMPLICIT_OPERATORS.has(text(row, 'name'))
      for (const oid of [integer(row, 'function'), ...oids(row, 'estimators')]) {
        const fn = nodeOf('function', oid)
        graph.uses(node, fn)
        // IN, BETWEEN, LIKE … use it without its name.
        if (isImplicit) for (const user of users) graph.uses(nodeOf('type', user), fn)
        if (isImplicit && users.length === 0 && oid >= FIRST_USER_OID) graph.uses(EVERY, fn)
      }
      for (const user of users) graph.uses(node, nodeOf('type', user))
    }
  }

  #addRelations(): void {
    const { graph } = this
    const rows = this.#rows
    for (const row of rows.trees) {
      const relation = integer(row, 'relation')
      const isView = text(row, 'source') === 'view'
      const tree = parseTree(row)
      for (const use of isView ? (['read'] as const) : RELATION_USES) {
        this.#usesTree(nodeOf(use, relation), tree, row)
      }
      // Who writes to a view writes to what it's of.
      if (!isView) continue
      for (const verb of VERBS) {
        for (const oid of tree.relations) graph.uses(nodeOf(verb, relation), nodeOf(verb, oid))
        graph.uses(nodeOf(verb, relation), nodeOf('read', relation))
      }
    }
    for (const row of rows.rules) {
      const use = RULE_EVENTS[text(row, 'event')] ?? 'read'
      this.#usesTree(nodeOf(use, integer(row, 'relation')), parseTree(row), row)
    }
    for (const row of rows.expressions) this.#addExpression(row)
    for (const row of rows.triggers) {
      const type = integer(row, 'type')
      for (const [bit, verb] of TRIGGER_EVENTS) {
        if ((type & bit) === 0) continue
        const node = nodeOf(verb, integer(row, 'relation'))
        graph.uses(node, nodeOf('function', integer(row, 'function')))
        this.#usesTree(node, parseTree(row), row)
      }
    }
    for (const row of rows.columns) {
      const relation = integer(row, 'relation')
      for (const oid of oids(row, 'types')) {
        graph.uses(nodeOf('type', -relation), nodeOf('type', oid))
      }
      for (const use of RELATION_USES) graph.uses(nodeOf(use, relation), nodeOf('type', -relation))
    }
    for (const row of rows.inheritance) {
      graph.inherits(integer(row, 'parent'), integer(row, 'child'))
    }
    for (const row of rows.foreignKeys) this.#addForeignKey(row)
    for (const row of rows.eventTriggers) {
      graph.uses(EVENT, nodeOf('function', integer(row, 'function')))
    }
    for (const row of rows.handlers) this.#addHandler(row)
  }

  /** Whoever plans a use of the relation evaluates what is not VOLATILE, checks too. */
  #addExpression(row: Row): void {
    const relation = integer(row, 'relation')
    const tree = parseTree(row)
    for (const use of ['insert', 'update'] as const) {
      this.#usesTree(nodeOf(use, relation), tree, row)
    }
    if (isOfWritesOnly(row)) return
    const functions = tree.functions.filter((oid) => !this.#volatile.has(oid))
    for (const use of ['read', 'delete'] as const) {
      this.#usesTree(nodeOf(use, relation), { ...tree, functions }, row)
    }
  }

  /** What is done to the referenced row is carried to those that refer to it. */
  #addForeignKey(row: Row): void {
    const [own, other] = [integer(row, 'relation'), integer(row, 'referenced')]
    const actions: readonly [Verb, string][] = [
      ['delete', text(row, 'deletes')],
      ['update', text(row, 'updates')],
    ]
    for (const [verb, action] of actions) {
      const carried = action === 'c' ? verb : action === 'n' || action === 'd' ? 'update' : null
      if (carried !== null) this.graph.uses(nodeOf(verb, other), nodeOf(carried, own))
    }
    this.graph.uses(nodeOf('truncate', other), nodeOf('truncate', own))
  }

  /** Compiled code that a relation, or any statement, runs unseen: access methods and the like. */
  #addHandler(row: Row): void {
    const fn = nodeOf('function', integer(row, 'function'))
    const relation = integer(row, 'relation')
    if (relation === 0) this.graph.uses(EVERY, fn)
    else for (const use of RELATION_USES) this.graph.uses(nodeOf(use, relation), fn)
  }
}

/** Sets operator classes apart from relations among the types. */
const CLASSES = 2 ** 33

/** What the calls of set_config() in a deparsed tree do. */
function shownEffects(shown: string): readonly Effect[] {
  if (shown === '') return callEffects('set_config') ?? []
  const reader = new SourceReader()
  reader.read(shown, 'sql')
  return reader.effects
}

function push(map: Map<string, number[]>, name: string, oid: number): void {
  const known = map.get(name)
  if (known === undefined) map.set(name, [oid])
  else known.push(oid)
}
