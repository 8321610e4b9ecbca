import fc from 'fast-check'

/** Texts of queries, mostly valid, full of what is hard to judge by tokens. */

const column = fc.constantFrom(
  'id',
  'v',
  't.id',
  'q.v',
  '"update"',
  'update',
  'delete',
  'insert',
  't.f_attr',
  '(t).f_attr',
  't.is',
  'x.from',
  'nextval',
  't.nextval',
  'q.select',
  '"select"',
  'public.t.id',
  'q.distinct',
  "('s'::regclass).nextval",
  'value',
  'name',
  't.*',
)
const literal = fc.constantFrom(
  '1',
  "'a'",
  "E'it\\'s'",
  '$1',
  'NULL',
  '1.5',
  "'s'",
  "$q$ select nextval('s') $q$",
  'true',
  "B'1'",
  "U&'x'",
  '-1',
  "interval '1 day'",
  "'{1}'",
)
const functionName = fc.constantFrom(
  'f_immut',
  'f_stable',
  'now',
  'lower',
  'count',
  'random',
  'nextval',
  'f_write',
  'pg_catalog.now',
  'pg_catalog.nextval',
  '"nextval"',
  '"now"',
  'public.f_write',
  'f_over',
  'agg_w',
  'sum',
  'current_setting',
  'pg_backend_pid',
  'coalesce',
  'greatest',
  'f_unknown',
  'txid_current',
  'left',
  'right',
  'pg_advisory_lock',
  'f_defarg',
  'ct',
  'dom',
  'int4',
  'text',
  'NextVal',
)
const relation = fc.constantFrom(
  't',
  't2',
  'public.t',
  '"insert"',
  'ul',
  'public.ul',
  'v_nextval',
  'v_plain',
  'mv',
  'part',
  's',
  'pg_class',
  'pg_catalog.pg_stat_activity',
  'rls',
  'ft',
  'c',
  'unknown_table',
  'only t',
  'information_schema.tables',
  'pg_temp.t',
  'only (t)',
  'UL',
  '"ul"',
)
const typeName = fc.constantFrom(
  'int',
  'text',
  'dom',
  'ct',
  'numeric(10,2)',
  'public.dom',
  '"dom"',
  'int[]',
  'dom[]',
  '_dom',
  'regclass',
  'varchar(3)',
  'timestamp with time zone',
  't',
  'character varying(5)',
)
const operator = fc.constantFrom(
  '+',
  '=',
  '<',
  '||',
  '<+++>',
  'OPERATOR(public.<+++>)',
  'OPERATOR(pg_catalog.+)',
  '-',
  '!=',
)
const label = fc.constantFrom(
  'a',
  'from',
  'select',
  'into',
  '"x;y"',
  'update',
  'delete',
  'distinct',
  'is',
  'as',
  'join',
  'where',
  'table',
  'nextval',
  'dom',
  'group',
  'end',
)
const bareLabel = fc.constantFrom('a', 'distinct', 'is', 'update', 'select', 'table', 'using', 'b')
const alias = fc.constantFrom('q', 'c', 'x', 't', 'ul', 'update', '"from"')
const gap = fc.constantFrom(' ', '\n', '/**/', ' -- x\n', '\t', '/* /* n */ ; */ ')

const { query } = fc.letrec<{ expression: string; item: string; query: string; select: string }>(
  (tie) => {
    const expressions = fc.array(tie('expression'), { minLength: 0, maxLength: 2 })
    const expression = fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      column,
      literal,
      column,
      fc.tuple(functionName, gap, expressions).map(([f, g, e]) => `${f}${g}(${e.join(', ')})`),
      fc.tuple(tie('expression'), operator, tie('expression')).map((parts) => parts.join(' ')),
      fc.tuple(tie('expression'), typeName).map(([e, t]) => `(${e})::${t}`),
      fc.tuple(tie('expression'), typeName).map(([e, t]) => `CAST(${e} AS ${t})`),
      fc.tuple(typeName, fc.constant("'1'")).map((parts) => parts.join(' ')),
      tie('select').map((q) => `(${q})`),
      tie('select').map((q) => `EXISTS (${q})`),
      tie('select').map((q) => `ARRAY(${q})`),
      fc.tuple(tie('expression'), tie('select')).map(([e, q]) => `${e} IN (${q})`),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `${a} IS DISTINCT FROM ${b}`),
      tie('expression').map((e) => `EXTRACT(epoch FROM ${e})`),
      fc
        .tuple(tie('expression'), tie('expression'))
        .map(([a, b]) => `substring(${a} FROM ${b} FOR 2)`),
      fc
        .tuple(tie('expression'), tie('expression'))
        .map(([a, b]) => `CASE WHEN ${a} THEN ${b} ELSE 1 END`),
      tie('expression').map((e) => `(ARRAY[1, 2])[${e}]`),
      tie('expression').map((e) => `count(*) FILTER (WHERE ${e})`),
      tie('expression').map((e) => `percentile_cont(0.5) WITHIN GROUP (ORDER BY ${e})`),
      tie('expression').map((e) => `row_number() OVER (PARTITION BY ${e})`),
      tie('expression').map((e) => `TREAT(${e} AS nextval)`),
      tie('expression').map((e) => `COLLATION FOR (${e})`),
      tie('expression').map((e) => `(${e}).f_attr`),
      tie('expression').map((e) => `ROW(${e}, 1)`),
    )
    const item = fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      relation,
      fc.tuple(relation, alias).map(([r, a]) => `${r} AS ${a}`),
      fc.tuple(relation, alias).map(([r, a]) => `${r} ${a}(a, b)`),
      fc.tuple(tie('select'), alias).map(([q, a]) => `(${q}) ${a}`),
      fc
        .tuple(tie('item'), tie('item'), tie('expression'))
        .map(([a, b, e]) => `${a} JOIN ${b} ON ${e}`),
      fc.tuple(tie('item'), tie('item')).map(([a, b]) => `(${a} CROSS JOIN ${b})`),
      fc.tuple(functionName, tie('expression'), alias).map(([f, e, a]) => `${f}(${e}) AS ${a}`),
      fc.tuple(functionName, alias, typeName).map(([f, a, t]) => `${f}(1) AS ${a}(a ${t})`),
      fc
        .tuple(functionName, tie('expression'))
        .map(([f, e]) => `ROWS FROM (${f}(${e}), generate_series(1, 2)) WITH ORDINALITY`),
      fc.tuple(relation, tie('expression')).map(([r, e]) => `${r} TABLESAMPLE system (${e})`),
      fc.tuple(tie('select'), alias).map(([q, a]) => `LATERAL (${q}) AS ${a}`),
      fc.tuple(tie('expression'), alias).map(([e, a]) => `(VALUES (${e}), (1)) AS ${a}`),
    )
    const target = fc.oneof(
      tie('expression'),
      fc.tuple(tie('expression'), label).map(([e, l]) => `${e} AS ${l}`),
      fc.tuple(tie('expression'), bareLabel).map(([e, l]) => `${e} ${l}`),
      fc.constant('*'),
    )
    const from = fc
      .array(tie('item'), { minLength: 0, maxLength: 3 })
      .map((items) => (items.length === 0 ? '' : ` FROM ${items.join(', ')}`))
    const tail = fc.oneof(
      { weight: 5, arbitrary: fc.constant('') },
      { weight: 1, arbitrary: fc.constantFrom(' FOR UPDATE', ' FOR KEY SHARE', ' FOR READ ONLY') },
      { weight: 1, arbitrary: tie('expression').map((e) => ` LIMIT ${e}`) },
      { weight: 1, arbitrary: tie('expression').map((e) => ` FETCH FIRST (${e}) ROWS ONLY`) },
      { weight: 2, arbitrary: tie('expression').map((e) => ` ORDER BY ${e}, 1`) },
    )
    const where = fc.oneof(
      fc.constant(''),
      tie('expression').map((e) => ` WHERE ${e}`),
    )
    const simple = fc
      .tuple(
        fc.constantFrom('', 'DISTINCT ', 'ALL ', 'DISTINCT ON (id) '),
        target,
        from,
        where,
        tail,
      )
      .map(([d, t, f, w, end]) => `SELECT ${d}${t}${f}${w}${end}`)
    const select = fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      simple,
      simple,
      fc.tuple(target, tie('item')).map(([t, i]) => `SELECT ${t} INTO x FROM ${i}`),
      relation.map((r) => `TABLE ${r}`),
      tie('expression').map((e) => `VALUES (${e}, 1)`),
      fc.tuple(tie('select'), tie('select')).map(([a, b]) => `${a} UNION ALL ${b}`),
      fc.tuple(tie('select'), tie('select')).map(([a, b]) => `(${a}) EXCEPT (${b})`),
    )
    const body = fc.oneof(
      { weight: 6, arbitrary: tie('select') },
      { weight: 1, arbitrary: fc.constant('DELETE FROM t WHERE false RETURNING id') },
      { weight: 1, arbitrary: fc.constant("UPDATE t SET v = 'x' RETURNING id") },
      { weight: 1, arbitrary: fc.constant('INSERT INTO t DEFAULT VALUES RETURNING id') },
    )
    const cte = fc
      .tuple(
        alias,
        fc.constantFrom('', '(a)', '(update, v)'),
        fc.constantFrom('', 'MATERIALIZED '),
        body,
      )
      .map(([a, columns, m, q]) => `${a}${columns} AS ${m}(${q})`)
    const query = fc.oneof(
      tie('select'),
      tie('select'),
      fc
        .tuple(
          fc.constantFrom('', 'RECURSIVE '),
          fc.array(cte, { minLength: 1, maxLength: 2 }),
          body,
        )
        .map(([r, ctes, q]) => `WITH ${r}${ctes.join(', ')} ${q}`),
    )
    return { expression, item, query, select }
  },
)

/** A text of one or two queries, some of them wrapped in EXPLAIN, COPY or parentheses. */
export const queryText: fc.Arbitrary<string> = fc
  .tuple(
    query,
    fc.constantFrom('', '', '', 'EXPLAIN ', 'COPY', '(', 'EXPLAIN (ANALYZE) ', 'two'),
    query,
  )
  .map(([first, wrap, second]) => {
    if (wrap === 'COPY') return `COPY (${first}) TO STDOUT`
    if (wrap === '(') return `(${first})`
    return wrap === 'two' ? `${first}; ${second}` : `${wrap}${first}`
  })
