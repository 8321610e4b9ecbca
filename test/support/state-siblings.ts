/** Further ways in which a statement runs code that changes its session: see `state-matrix.ts`. */
import type { Carrier } from './state-matrix.ts'

const grant = (id: string): string => `grant all on t_${id} to web;`

const noticing = (f: string, id: string): string =>
  `create function tf_${id}() returns trigger language plpgsql as $$begin perform ${f}('a'); return coalesce(new, old); end$$;`

export const siblings: readonly Carrier[] = [
  {
    name: 'instead',
    make: (f, id) =>
      `create view t_${id} as select 'a'::text x; ${noticing(f, id)}
       create trigger tr instead of update on t_${id} for each row execute function tf_${id}(); ${grant(id)}`,
    use: (_f, id) => `update t_${id} set x = 'b'`,
  },
  {
    name: 'cascade',
    make: (f, id) =>
      `create table q_${id} (x text primary key); create table t_${id} (x text references q_${id} on delete cascade);
       insert into q_${id} values ('a'), ('b'), ('c'), ('d'), ('e'), ('f'), ('g'), ('h'), ('i'), ('j'), ('k'), ('l');
       insert into t_${id} select x from q_${id}; ${noticing(f, id)}
       create trigger tr before delete on t_${id} for each row execute function tf_${id}();
       ${grant(id)} grant all on q_${id} to web;`,
    use: (_f, id) => `delete from q_${id} where x = (select min(x) from q_${id})`,
  },
  {
    name: 'partition',
    make: (f, id) =>
      `create table t_${id} (x text) partition by list (x);
       create table q_${id} partition of t_${id} default; ${noticing(f, id)}
       create trigger tr before insert on q_${id} for each row execute function tf_${id}(); ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} values ('a')`,
  },
  {
    name: 'argument',
    make: (f, id) =>
      `create function d_${id}(a int, t text default ${f}('a')) returns int language sql as 'select a';`,
    use: (_f, id) => `select d_${id}(1)`,
  },
  {
    name: 'final',
    make: (f, id) =>
      `create function ff_${id}(text) returns text language plpgsql as $$begin return ${f}('a'); end$$;
       create aggregate g_${id}(text) (sfunc = textcat, stype = text, finalfunc = ff_${id});`,
    use: (_f, id) => `select g_${id}(x) over () from (values ('a')) v(x)`,
  },
  {
    name: 'index',
    make: (f, id) =>
      `create function if_${id}(t text) returns text language sql immutable as 'select t';
       create table t_${id} (x text); create index on t_${id} (if_${id}(x));
       create or replace function if_${id}(t text) returns text language plpgsql immutable
         as $$begin return ${f}(t); end$$; ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} values ('a')`,
  },
  {
    name: 'query_to_xml',
    make: () => '',
    use: (f) => `select query_to_xml('select ${f}(''a'')', true, false, '')::text`,
  },
  {
    name: 'prepared',
    make: () => '',
    use: (f, id) => `prepare s_${id} as select ${f}('a'); execute s_${id}; deallocate s_${id}`,
  },
  {
    name: 'cursor',
    make: () => '',
    use: (f, id) => `begin; declare x_${id} cursor for select ${f}('a'); fetch x_${id}; commit`,
  },
  {
    name: 'explained',
    make: () => '',
    use: (f) =>
      `explain (analyze, costs off, timing off, summary off, buffers off) select ${f}('a')`,
  },
  { name: 'copied', make: () => '', use: (f) => `copy (select ${f}('a')) to stdout` },
  {
    name: 'definer',
    make: (f, id) =>
      `create function sd_${id}(t text) returns text language plpgsql
         set work_mem = '5MB' as $$begin return ${f}(t); end$$;`,
    use: (_f, id) => `select sd_${id}('a')`,
  },
  {
    name: 'caught',
    make: (f, id) =>
      `create function c_${id}(t text) returns text language plpgsql as $$begin
         begin perform ${f}(t); perform 1/0; exception when others then null; end; return ${f}(t); end$$;`,
    use: (_f, id) => `select c_${id}('a')`,
  },
  {
    name: 'record',
    make: (f, id) =>
      `create domain d_${id} as text check (${f}(value) is not null); create type y_${id} as (x d_${id});`,
    use: (_f, id) => `select json_populate_record(null::y_${id}, '{"x": "a"}')`,
  },
  {
    name: 'columns',
    make: (f, id) => `create domain d_${id} as text check (${f}(value) is not null);`,
    use: (_f, id) => `select * from json_to_record('{"x": "a"}') as r(x d_${id})`,
  },
  {
    name: 'assignment',
    make: (f, id) =>
      `create type y_${id} as (x int); create table t_${id} (x text);
       create function cf_${id}(y y_${id}) returns text language plpgsql as $$begin return ${f}('a'); end$$;
       create cast (y_${id} as text) with function cf_${id}(y_${id}) as assignment; ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} select row(1)::y_${id}`,
  },
  {
    name: 'range',
    make: (f, id) =>
      `create function rd_${id}(a float8, b float8) returns float8 immutable language sql as 'select a - b';
       create type y_${id} as range (subtype = float8, subtype_diff = rd_${id});
       create table t_${id} (x y_${id}); create index on t_${id} using gist (x);
       create or replace function rd_${id}(a float8, b float8) returns float8 immutable language plpgsql
         as $$begin perform ${f}('a'); return a - b; end$$; ${grant(id)}`,
    use: (_f, id) => `insert into t_${id} select y_${id}(i, i + 1) from generate_series(1, 500) i`,
  },
  {
    name: 'set_returning',
    make: (f, id) =>
      `create function sr_${id}() returns setof text language plpgsql as $$begin return next ${f}('a'); end$$;`,
    use: (_f, id) => `select v.n from (values (1)) v(n), lateral sr_${id}() x`,
  },
  {
    name: 'shadow',
    make: (f, id) =>
      `create schema z_${id}; grant usage on schema z_${id} to web, appadmin;
       create function z_${id}.abs(text) returns text language plpgsql as $$begin return public.${f}($1); end$$;`,
    use: (_f, id) => `select z_${id}.abs('a'::text)`,
  },
  {
    name: 'attribute',
    make: (f, id) =>
      `create table t_${id} (x text); insert into t_${id} values ('a');
       create function at_${id}(t_${id}) returns text language plpgsql as $$begin return ${f}('a'); end$$; ${grant(id)}`,
    use: (_f, id) => `select t.at_${id} from t_${id} t`,
  },
  {
    name: 'merge',
    make: (f, id) =>
      `create table t_${id} (x text); ${noticing(f, id)}
       create trigger tr after insert on t_${id} for each statement execute function tf_${id}(); ${grant(id)}`,
    use: (_f, id) =>
      `merge into t_${id} t using (values ('a')) v(x) on t.x = v.x when not matched then insert values (v.x)`,
  },
]
