/**
 * Ways in which a statement can change its session, by what carries the change and what is changed.
 * Each pair has objects of its own in the database, so that nothing is made while a test runs.
 */

import { siblings } from './state-siblings.ts'

/** What is changed. `body`: statements of PL/pgSQL; `built`: the same in SQL that is put together. */
interface Change {
  readonly name: string
  readonly body: string
  readonly built: string
  /** Looks at it, in the session that has made it. */
  readonly own: string
  readonly needsSuperuser?: true
}

const setting = (name: string, value: string): Pick<Change, 'body' | 'built' | 'own'> => ({
  body: `perform set_config('${name}', '${value}', false);`,
  built: `execute format('set %s = %L', '${name}', '${value}');`,
  own: `/* pgsplit: replica */ select pg_catalog.current_setting('${name}', true)`,
})

export const changes: readonly Change[] = [
  {
    name: 'role',
    body: `set role appadmin;`,
    built: `execute format('set role %I', 'app' || 'admin');`,
    own: '/* pgsplit: replica */ select current_user, session_user',
  },
  { name: 'search_path', ...setting('search_path', 'pg_catalog') },
  { name: 'statement_timeout', ...setting('statement_timeout', '54321') },
  { name: 'read_only', ...setting('default_transaction_read_only', 'on') },
  { name: 'encoding', ...setting('client_encoding', 'latin1') },
  { name: 'strings', ...setting('standard_conforming_strings', 'off') },
  { name: 'custom', ...setting('app.leak', 'of somebody') },
  { name: 'idle_timeout', ...setting('idle_session_timeout', '54321') },
  {
    name: 'listen',
    body: 'listen chan_leak;',
    built: `execute 'listen ' || 'chan_leak';`,
    own: '/* pgsplit: primary */ select pg_listening_channels()',
  },
  {
    name: 'hold',
    body: `execute 'declare c_leak cursor with hold for select 5';`,
    built: `execute format('declare %I cursor with hold for select 5', 'c_leak');`,
    own: 'fetch all from c_leak',
  },
  {
    name: 'lock',
    body: 'perform pg_advisory_lock_shared(77);',
    built: `execute 'select pg_advisory_lock_' || 'shared(77)';`,
    own: '/* pgsplit: primary */ select pg_advisory_unlock_shared(77)',
  },
  {
    name: 'temp',
    body: 'create temporary table t_leak (a int);',
    built: `execute format('create %s table t_leak (a int)', 'temporary');`,
    own: 'select count(*) from t_leak',
  },
  {
    name: 'prepare',
    body: `execute 'prepare p_leak as select 5';`,
    built: `execute format('prepare %I as select 5', 'p_leak');`,
    own: 'execute p_leak',
  },
  {
    name: 'user',
    body: 'set session authorization web;',
    built: `execute format('set session authorization %I', 'web');`,
    own: '/* pgsplit: replica */ select current_user, session_user',
    needsSuperuser: true,
  },
]

/** What carries it: `f` names a function that makes the change and returns text. */
export interface Carrier {
  readonly name: string
  readonly make: (f: string, id: string) => string
  readonly use: (f: string, id: string, change: Change, isBuilt: boolean) => string
}

const code = (change: Change, isBuilt: boolean): string => (isBuilt ? change.built : change.body)

const grant = (id: string): string => `grant all on t_${id} to web;`

export const carriers: readonly Carrier[] = [
  {
    name: 'do',
    make: () => '',
    use: (_f, _id, change, isBuilt) => `do $$begin ${code(change, isBuilt)} end$$`,
  },
  { name: 'function', make: () => '', use: (f) => `select ${f}('a')` },
  {
    name: 'nested',
    make: (f, id) =>
      `create function n1_${id}(t text) returns text language plpgsql as $$begin return ${f}(t); end$$;
       create function n2_${id}(t text) returns text language sql as 'select n1_${id}(t)';`,
    use: (_f, id) => `select n2_${id}('a')`,
  },
  {
    name: 'procedure',
    make: (f, id) =>
      `create procedure p_${id}(t text) language plpgsql as $$begin perform ${f}(t); end$$;`,
    use: (_f, id) => `call p_${id}('a')`,
  },
  {
    name: 'atomic',
    make: (f, id) =>
      `create function a_${id}(t text) returns text language sql begin atomic select ${f}(t); end;`,
    use: (_f, id) => `select a_${id}('a')`,
  },
  {
    name: 'trigger',
    make: (f, id) =>
      `create table t_${id} (x text);
       create function tf_${id}() returns trigger language plpgsql as $$begin perform ${f}('a'); return new; end$$;
       create trigger tr before insert on t_${id} for each row execute function tf_${id}(); ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} values ('a')`,
  },
  {
    name: 'deferred',
    make: (f, id) =>
      `create table t_${id} (x text);
       create function tf_${id}() returns trigger language plpgsql as $$begin perform ${f}('a'); return new; end$$;
       create constraint trigger tr after insert on t_${id} initially deferred for each row
         execute function tf_${id}(); ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} values ('a')`,
  },
  {
    name: 'view',
    make: (f, id) => `create view t_${id} as select ${f}('a') x; ${grant(id)}`,
    use: (_f, id) => `select * from t_${id}`,
  },
  {
    name: 'policy',
    make: (f, id) =>
      `create table t_${id} (x text); insert into t_${id} values ('a');
       alter table t_${id} enable row level security;
       create policy own on t_${id} using (${f}(x) is not null); ${grant(id)}`,
    use: (_f, id) => `select * from t_${id}`,
  },
  {
    name: 'default',
    make: (f, id) => `create table t_${id} (x text, y text default ${f}('a')); ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} (x) values ('a')`,
  },
  {
    name: 'check',
    make: (f, id) => `create table t_${id} (x text check (${f}(x) is not null)); ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} values ('a')`,
  },
  {
    name: 'cast',
    make: (f, id) =>
      `create type y_${id} as (x int);
       create function cf_${id}(t text) returns y_${id} language plpgsql as $$begin perform ${f}(t); return row(1); end$$;
       create cast (text as y_${id}) with function cf_${id}(text);`,
    use: (_f, id) => `select ('a'::text)::y_${id}`,
  },
  {
    name: 'rule',
    make: (f, id) =>
      `create table t_${id} (x text);
       create rule r as on insert to t_${id} do also select ${f}('a'); ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} values ('a')`,
  },
  {
    name: 'operator',
    make: (f, id) =>
      `create type o_${id} as (x text);
       create function of_${id}(o_${id}, text) returns boolean language plpgsql as $$begin perform ${f}('a'); return true; end$$;
       create operator @@@@ (leftarg = o_${id}, rightarg = text, function = of_${id});`,
    use: (_f, id) => `select row('a')::o_${id} @@@@ 'b'`,
  },
  {
    name: 'domain',
    make: (f, id) => `create domain d_${id} as text check (${f}(value) is not null);`,
    use: (_f, id) => `select 'a'::d_${id}`,
  },
  {
    name: 'generated',
    make: (f, id) =>
      `create function gf_${id}(t text) returns text language sql immutable as 'select t';
       create table t_${id} (x text, y text generated always as (gf_${id}(x)) stored); ${grant(id)}
       create or replace function gf_${id}(t text) returns text language plpgsql immutable
         as $$begin return ${f}(t); end$$;`,
    use: (_f, id) => `insert into t_${id} (x) values ('a')`,
  },
  {
    name: 'aggregate',
    make: (f, id) =>
      `create function sf_${id}(text, text) returns text language plpgsql as $$begin return ${f}($2); end$$;
       create aggregate g_${id}(text) (sfunc = sf_${id}, stype = text);`,
    use: (_f, id) => `select g_${id}('a')`,
  },
  {
    name: 'event',
    make: () => '',
    use: (f, id) => `create or replace view ev_${id}_${f} as select 1 a`,
  },
]

const allCarriers: readonly Carrier[] = [...carriers, ...siblings]

export const modes = ['simple', 'extended', 'committed', 'rolled back', 'failed'] as const
export type Mode = (typeof modes)[number]

export interface Case {
  readonly carrier: string
  readonly change: Change
  readonly mode: Mode
  readonly isBuilt: boolean
  readonly use: string
}

const idOf = (carrier: Carrier, change: Change, isBuilt: boolean): string =>
  `${carrier.name}_${change.name}${isBuilt ? '_built' : ''}`

const functionOf = (change: Change, isBuilt: boolean): string =>
  `e_${change.name}${isBuilt ? '_built' : ''}`

/** Everything that the cases need. */
export function matrixSchema(): string {
  const texts: string[] = [
    'create role appadmin',
    "create role web login noinherit password 'w' in role appadmin",
    "create role boss login superuser password 'b'",
    'grant create, usage on schema public to web, appadmin',
  ]
  const branches: string[] = []
  for (const change of changes) {
    for (const isBuilt of [false, true]) {
      const f = functionOf(change, isBuilt)
      texts.push(
        `create function ${f}(t text) returns text language plpgsql as $$begin ${code(change, isBuilt)} return t; end$$`,
      )
      branches.push(
        `if current_query() ~ 'ev_event_.*_${f} ' then perform public.${f}('a'); end if;`,
      )
      for (const carrier of allCarriers) texts.push(carrier.make(f, idOf(carrier, change, isBuilt)))
    }
  }
  texts.push(
    `create function on_event() returns event_trigger language plpgsql as $$begin
       if current_query() !~ 'ev_event_' then return; end if; ${branches.join('\n')} end$$`,
    "create event trigger ev on ddl_command_end when tag in ('CREATE VIEW') execute function on_event()",
  )
  return texts
    .filter((text) => text !== '')
    .join(';\n')
    .replaceAll(';;', ';')
}

/**
 * Every carrier with every change; the modes and spellings go round, so that each pair of values of
 * any two dimensions comes up. `all`: every combination.
 */
export function cases(all: boolean): Case[] {
  const found: Case[] = []
  for (const [i, carrier] of allCarriers.entries()) {
    for (const [k, change] of changes.entries()) {
      // Some of the changes are enough to show that the carrier is seen.
      if (!all && siblings.includes(carrier) && (i + k) % 4 > 0) continue
      for (const [m, mode] of modes.entries()) {
        for (const isBuilt of [false, true]) {
          const isTurn =
            (i + k) % modes.length === m && (i + k + (k >> 1)) % 2 === (isBuilt ? 1 : 0)
          if (!all && !isTurn) continue
          const id = idOf(carrier, change, isBuilt)
          const use = carrier.use(functionOf(change, isBuilt), id, change, isBuilt)
          found.push({ carrier: carrier.name, change, mode, isBuilt, use })
        }
      }
    }
  }
  return found
}
