-- A tour for psql: where pgsplit sends what. Start `npm run demo`, then in another terminal
--   psql postgresql://demo:demo@127.0.0.1:6432/demo -f examples/psql/tour.sql
\set QUIET on
\pset footer off

\echo 'A proved read goes to a replica:'
SELECT count(*) AS orders FROM orders;
SHOW pgsplit.last_route;

\echo 'A write goes to the primary:'
UPDATE accounts SET balance = balance + 1 WHERE id = 1;
SHOW pgsplit.last_route;

\echo 'The next read sees it, wherever it is served:'
SELECT owner, balance FROM accounts WHERE id = 1;
SHOW pgsplit.last_route;

\echo 'A SELECT that locks rows is no read:'
BEGIN;
SELECT balance FROM accounts WHERE id = 1 FOR UPDATE;
SHOW pgsplit.last_route;
ROLLBACK;

\echo 'A read-only transaction stays on one replica:'
BEGIN READ ONLY;
SELECT max(total) FROM orders;
SHOW pgsplit.last_route;
COMMIT;

\echo 'A hint is obeyed where it is safe:'
/* pgsplit: primary */ SELECT count(*) AS accounts FROM accounts;
SHOW pgsplit.last_route;
