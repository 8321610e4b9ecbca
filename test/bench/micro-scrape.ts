/**
 * What a scrape costs a pgsplit with many clients and statements: `node test/bench/micro-scrape.ts
 * 2000 5000`. Prints ms of the whole way of `/metrics`, `/api/v1/clients` and `/api/v1/statements`, asking
 * included, which is done by the same process: an upper bound of what the event loop is kept from.
 */
import { parseConfig } from '../../src/config/parse-config.ts'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'
import { createLogger } from '../../src/log.ts'
import { startProxy } from '../../src/proxy.ts'
import { RawClient } from '../support/raw-client.ts'

const [clients = 2000, statements = 5000] = process.argv.slice(2).map(Number)
const asks = 20
const token = 'a-token-of-the-bench'

const cluster = await startEmbedded({ replicas: 2, database: 'bench' })
const config = parseConfig({
  listen: '127.0.0.1:0',
  limits: { maxClients: clients + 10 },
  http: { listen: '127.0.0.1:0', tokens: [{ name: 'bench', token }] },
  clusters: {
    main: {
      primary: cluster.primary.urlFor('postgres'),
      replicas: cluster.replicas.map((replica) => replica.urlFor('postgres')),
    },
  },
})
const proxy = await startProxy(config, createLogger({ level: 'silent', format: 'json' }))
try {
  const { port = 0 } = proxy.addresses[0] ?? {}
  const login = { port, user: 'postgres', password: cluster.password, database: 'bench' }
  const held: RawClient[] = []
  for (let i = 0; i < clients; i++) held.push(await RawClient.logIn(login))
  const busy = held[0] as RawClient
  for (let i = 0; i < statements; i++) await busy.query(`SELECT 1 AS c${i}`)
  const { port: httpPort = 0 } = proxy.httpAddresses[0] ?? {}
  for (const path of ['/metrics', '/api/v1/clients', '/api/v1/statements']) {
    const times: number[] = []
    let bytes = 0
    for (let i = 0; i < asks; i++) {
      const began = performance.now()
      const headers = { authorization: `Bearer ${token}` }
      const answer = await fetch(`http://127.0.0.1:${httpPort}${path}`, { headers })
      bytes = (await answer.arrayBuffer()).byteLength
      times.push(performance.now() - began)
    }
    times.sort((a, b) => a - b)
    const [median = 0, most = 0] = [times[asks >> 1], times.at(-1)]
    console.log(
      `${path.padEnd(20)} ${bytes} bytes, ms: median ${median.toFixed(1)}, most ${most.toFixed(1)}`,
    )
  }
} finally {
  await proxy.stop({ drain: false })
  await cluster.stop()
}
process.exit(0)
