import prepare from 'saslprep'

/**
 * A password as the bytes that SCRAM hashes: SASLprep (RFC 4013) of it or, where that fails
 * (prohibited, unassigned or wrongly mixed characters, nothing left), the bytes as they are.
 * PostgreSQL falls back in the same way on both of its ends (auth-scram.c, `pg_saslprep`).
 */
export function saslprep(password: string): Buffer {
  try {
    const prepared = prepare(password)
    return Buffer.from(prepared === '' ? password : prepared)
  } catch {
    return Buffer.from(password)
  }
}
