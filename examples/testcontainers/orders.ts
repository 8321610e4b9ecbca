import pg from 'pg'

/** The application under test: it knows one connection string. */
export class Orders {
  readonly #pool: pg.Pool

  constructor(connectionString: string) {
    this.#pool = new pg.Pool({ connectionString })
    // an idle connection that is lost is none of the application's business
    this.#pool.on('error', () => {})
  }

  async place(item: string): Promise<void> {
    await this.#pool.query('INSERT INTO orders (item) VALUES ($1)', [item])
  }

  async count(): Promise<number> {
    const { rows } = await this.#pool.query<{ n: number }>('SELECT count(*)::int AS n FROM orders')
    return rows[0]?.n ?? 0
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }
}
