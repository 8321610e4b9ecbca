-- A tour for psql: where pgsplit sends what, and why. `npm run example:psql` plays it.
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

\echo 'A transaction stays on the primary and sees what it wrote:'
BEGIN;
UPDATE accounts SET balance = balance + 1 WHERE id = 1;
SELECT owner, balance FROM accounts WHERE id = 1;
SHOW pgsplit.last_route;
COMMIT;

\echo 'A SELECT that locks rows is no read, neither is one that calls nextval():'
SELECT balance FROM accounts WHERE id = 1 FOR UPDATE;
SHOW pgsplit.last_route;
EXPLAIN (ROUTE) SELECT nextval('orders_id_seq');

\echo 'A read-only transaction stays on one replica:'
BEGIN READ ONLY;
SELECT max(total) FROM orders;
SHOW pgsplit.last_route;
COMMIT;

\echo 'A hint is obeyed where it is safe:'
/* pgsplit: primary */ SELECT count(*) AS accounts FROM accounts;
SHOW pgsplit.last_route;

\echo 'What belongs to one server pins the session to it, until it is gone:'
SELECT pg_advisory_lock(1);
SHOW pgsplit.pin;
SELECT pg_advisory_unlock_all();
SHOW pgsplit.pin;
