import type { EmbeddedNode } from '../embedded/embedded-node.ts'

export const ACCOUNTS = 10_000
export const ORDERS = 40_000
export const DEMO_USER = 'demo'
export const DEMO_PASSWORD = 'demo'
export const DEMO_DATABASE = 'demo'

const SCHEMA = `
  CREATE ROLE ${DEMO_USER} LOGIN PASSWORD '${DEMO_PASSWORD}';
  GRANT CREATE ON SCHEMA public TO ${DEMO_USER};
  SET ROLE ${DEMO_USER};
  CREATE TABLE accounts (
    id int PRIMARY KEY,
    owner text NOT NULL,
    balance numeric(12, 2) NOT NULL
  );
  CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id int NOT NULL REFERENCES accounts,
    item text NOT NULL,
    total numeric(10, 2) NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT now()
  );
  INSERT INTO accounts
    SELECT n, 'owner ' || n, 1000 FROM generate_series(1, ${ACCOUNTS}) AS n;
  INSERT INTO orders (account_id, item, total)
    SELECT 1 + n % ${ACCOUNTS}, (ARRAY['tea', 'coffee', 'cocoa', 'mate'])[1 + n % 4], 1 + n % 90
    FROM generate_series(1, ${ORDERS}) AS n;
  CREATE INDEX ON orders (account_id);
  ANALYZE accounts, orders;
`

/** Creates the demo's user and tables and fills them, in about half a second. */
export async function fillSampleData(primary: EmbeddedNode): Promise<void> {
  await primary.query(SCHEMA, undefined, DEMO_DATABASE)
}
