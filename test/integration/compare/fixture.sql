-- What all conversations may read and none may change.
CREATE TABLE item (
  id int PRIMARY KEY,
  name text NOT NULL,
  price numeric(8, 2),
  made date,
  at timestamptz,
  tags text[],
  doc jsonb,
  raw bytea,
  ratio float8,
  ok boolean
);
INSERT INTO item
SELECT g, 'item ' || g, g * 1.25, date '2026-01-01' + g, timestamptz '2026-01-01 00:00:00+00' + g * interval '1 hour',
  ARRAY['t' || g, NULL, 'x"y'], jsonb_build_object('n', g, 'even', g % 2 = 0), decode(lpad(to_hex(g), 8, '0'), 'hex'),
  g / 7.0, g % 3 = 0
FROM generate_series(1, 200) g;
INSERT INTO item (id, name) VALUES (0, 'nothing but NULLs');
DO $$ BEGIN
  EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg('c' || g || ' smallint', ', ') FROM generate_series(1, 1600) g) || ')';
  EXECUTE 'INSERT INTO wide SELECT ' || (SELECT string_agg(CASE WHEN g % 5 = 0 THEN 'NULL' ELSE g::text END, ', ') FROM generate_series(1, 1600) g);
END $$;
CREATE FUNCTION says(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RAISE DEBUG 'debug %', what; RAISE LOG 'log %', what; RAISE INFO 'info %', what;
  RAISE NOTICE 'notice %', what USING DETAIL = 'the detail', HINT = 'the hint';
  RAISE WARNING 'warning %', what USING ERRCODE = '01234';
  RETURN what;
END $$;
CREATE FUNCTION fails(code text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'failed with %', code USING ERRCODE = code, DETAIL = 'a detail', HINT = 'a hint',
    COLUMN = 'col', CONSTRAINT = 'con', DATATYPE = 'typ', TABLE = 'tab', SCHEMA = 'sch';
END $$;
CREATE FUNCTION fails_at(n int, at int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN IF n = at THEN RAISE EXCEPTION 'row % is bad', n; END IF; RETURN n; END $$;
CREATE FUNCTION two_cursors(OUT a refcursor, OUT b refcursor) LANGUAGE plpgsql AS $$
BEGIN a := 'ca'; b := 'cb'; OPEN a FOR SELECT 1; OPEN b FOR SELECT 2; END $$;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
