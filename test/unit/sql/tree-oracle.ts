import { loadModule, parseSync } from 'libpg-query'
import type { CatalogSets } from '../../../src/sql/catalog-sets.ts'
import { SYNTAX_BEFORE_PARENTHESIS } from '../../../src/sql/keywords.ts'
import { SESSION_FUNCTIONS } from '../../../src/sql/session-functions.ts'

type Node = Readonly<Record<string, unknown>>

export async function loadOracle(): Promise<void> {
  await loadModule()
}

/**
 * What PostgreSQL's own grammar finds in a text that a replica must not run, by the same sets:
 * null when nothing; 'not valid' when the grammar refuses it, as every server would. Keep the texts
 * short: 15 kB of `1+1+…` break the module for good.
 */
export function findUnsafe(sql: string, sets: CatalogSets): string | null {
  if (sql.trim() === '') return null
  let tree: unknown
  try {
    tree = parseSync(sql)
  } catch (error) {
    if (error instanceof Error && error.name === 'SqlError') return 'not valid'
    throw error
  }
  const statements = (tree as { stmts?: { stmt?: Node }[] }).stmts ?? []
  for (const { stmt } of statements) {
    const why = stmt === undefined ? null : findInStatement(stmt, sets)
    if (why !== null) return why
  }
  return null
}

function findInStatement(statement: Node, sets: CatalogSets): string | null {
  const kind = Object.keys(statement)[0] ?? ''
  const body = statement[kind] as Node
  if (kind === 'ExplainStmt') return findInStatement(body.query as Node, sets)
  if (kind === 'CopyStmt') {
    if (body.is_from === true || body.is_program === true || body.filename !== undefined) {
      return 'COPY to or from a file'
    }
  } else if (kind !== 'SelectStmt') {
    return kind
  }
  return walk(statement, sets)
}

/** Iterative: a tree may be deeper than the stack. */
function walk(root: Node, sets: CatalogSets): string | null {
  const names = commonTableNames(root)
  const todo: unknown[] = [root]
  while (todo.length > 0) {
    const node = todo.pop()
    if (Array.isArray(node)) {
      for (const item of node) todo.push(item)
    } else if (node !== null && typeof node === 'object') {
      for (const [key, value] of Object.entries(node)) {
        const why = judge(key, value, sets, names)
        if (why !== null) return why
        todo.push(value)
      }
    }
  }
  return null
}

function judge(
  key: string,
  value: unknown,
  sets: CatalogSets,
  ctes: ReadonlySet<string>,
): string | null {
  const node = value as Node
  switch (key) {
    case 'InsertStmt':
    case 'UpdateStmt':
    case 'DeleteStmt':
    case 'MergeStmt':
    case 'LockingClause':
    case 'lockingClause':
    case 'intoClause':
      return key
    case 'FuncCall':
      return judgeCall(node, sets)
    case 'RangeVar':
      return judgeRelation(node, sets, ctes)
    case 'relation':
      // COPY's relation isn't wrapped.
      return node.relname === undefined ? null : judgeRelation(node, sets, ctes)
    case 'TypeName':
    case 'typeName':
    case 'type_name': {
      const name = lastName(node.names ?? node)
      return sets.unsafeTypes.has(name) ? `type ${name}` : null
    }
    case 'A_Expr':
      return judgeOperator(lastName(node.name), sets)
    case 'SubLink':
      return judgeOperator(lastName(node.operName), sets)
    case 'SortBy':
      return judgeOperator(lastName(node.useOp), sets)
    case 'RangeTableSample': {
      const name = lastName(node.method)
      return sets.unsafeFunctions.has(name) ? `method ${name}` : null
    }
    case 'ColumnRef': {
      const fields = strings(node.fields)
      return fields.length > 1 ? judgeAttribute(fields.at(-1) ?? '', sets) : null
    }
    case 'A_Indirection':
      for (const field of strings(node.indirection)) {
        const why = judgeAttribute(field, sets)
        if (why !== null) return why
      }
      return null
    default:
      return null
  }
}

function judgeCall(node: Node, sets: CatalogSets): string | null {
  const name = lastName(node.funcname)
  if (SESSION_FUNCTIONS.has(name) || sets.sessionFunctions.has(name)) return `session ${name}`
  if (name === 'set_config' || sets.unsafeFunctions.has(name)) return `function ${name}`
  if (name === 'current_setting') return judgeSetting(node, sets)
  // COERCE_SQL_SYNTAX: EXTRACT, TRIM and the like, always of pg_catalog.
  if (node.funcformat === 'COERCE_SQL_SYNTAX') return null
  // `SELECT value(1)` looks like a clause to us; no server of this catalog can run it.
  const known =
    sets.functions.has(name) || sets.types.has(name) || SYNTAX_BEFORE_PARENTHESIS.has(name)
  return known ? null : `unknown function ${name}`
}

function judgeSetting(node: Node, sets: CatalogSets): string | null {
  const first = (node.args as Node[] | undefined)?.[0]?.A_Const as Node | undefined
  const name = (first?.sval as Node | undefined)?.sval
  if (typeof name !== 'string') return 'current_setting of something'
  return sets.nodeParameters.has(name.toLowerCase()) ? `setting ${name}` : null
}

function judgeRelation(node: Node, sets: CatalogSets, ctes: ReadonlySet<string>): string | null {
  const name = String(node.relname)
  if (String(node.schemaname ?? '').startsWith('pg_temp')) return 'temporary relation'
  if (node.schemaname === undefined && ctes.has(name)) return null
  if (sets.unsafeRelations.has(name)) return `relation ${name}`
  return sets.relations.has(name) ? null : `unknown relation ${name}`
}

function judgeOperator(name: string, sets: CatalogSets): string | null {
  return sets.unsafeOperators.has(name) ? `operator ${name}` : null
}

function judgeAttribute(name: string, sets: CatalogSets): string | null {
  const settings = name === 'current_setting' || name === 'set_config'
  return settings || sets.attributeFunctions.has(name) ? `attribute ${name}` : null
}

function commonTableNames(root: Node): ReadonlySet<string> {
  const names = new Set<string>()
  const todo: unknown[] = [root]
  while (todo.length > 0) {
    const node = todo.pop()
    if (node === null || typeof node !== 'object') continue
    for (const [key, value] of Object.entries(node)) {
      if (key === 'CommonTableExpr') names.add(String((value as Node).ctename))
      todo.push(value)
    }
  }
  return names
}

function strings(list: unknown): string[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((item: Node) => {
    const text = (item.String as Node | undefined)?.sval
    return typeof text === 'string' ? [text] : []
  })
}

function lastName(list: unknown): string {
  return strings(list).at(-1) ?? ''
}
