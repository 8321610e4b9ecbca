/**
 * `node test/bench/first-query.ts`: how long it takes from a clone to the first routed query, as README
 * says it: `git clone`, `npm ci`, `npm run demo`, a read that a replica serves. Prints seconds of each
 * step, with npm's cache as it is; run it twice for a warm one.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

const root = fileURLToPath(new URL('../..', import.meta.url))
const place = mkdtempSync(join(tmpdir(), 'pgsplit-first-query-'))
const clone = join(place, 'pgsplit')
const began = performance.now()
let last = began

function done(step: string): void {
  const now = performance.now()
  console.log(`${((now - last) / 1000).toFixed(1).padStart(6)} s  ${step}`)
  last = now
}

function run(file: string, args: readonly string[], cwd: string): void {
  const { status, stderr } = spawnSync(file, args, { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr}`)
}

async function untilReplicaReads(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    for (;;) {
      await client.query('SELECT count(*) FROM orders')
      const { rows } = await client.query('SHOW pgsplit.last_route')
      const route: string = rows[0]['pgsplit.last_route']
      if (route.includes('proved read-only')) return route
      await sleep(20)
    }
  } finally {
    await client.end()
  }
}

try {
  run('git', ['clone', '--quiet', '--no-hardlinks', root, clone], place)
  done('git clone')
  run('npm', ['ci', '--no-audit', '--no-fund'], clone)
  done('npm ci')
  const demo = spawn('npm', ['run', 'demo'], { cwd: clone, stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    for await (const line of createInterface(demo.stdout)) {
      const url = /psql (postgresql:\S+)/.exec(line)?.[1]
      if (url === undefined) continue
      done('npm run demo, until it says how to join in')
      const route = await untilReplicaReads(url)
      done(`first read on a replica (${route})`)
      break
    }
  } finally {
    demo.kill('SIGTERM')
  }
  const seconds = (last - began) / 1000
  console.log(`${seconds.toFixed(1)} s in all; load ${loadavg()[0]?.toFixed(1)}; the aim is 90 s`)
} finally {
  rmSync(place, { recursive: true, force: true })
}
