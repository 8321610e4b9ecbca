import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../src/config/secret.ts'
import { probeOpener } from '../../src/core/open-probe.ts'
import { noServerTls } from '../../src/net/tls-options.ts'
import { Monitor } from '../../src/topology/monitor.ts'
import type { MonitorEvent } from '../../src/topology/monitor-event.ts'
import type { MonitorOptions } from '../../src/topology/monitor-options.ts'
import type { NodeView } from '../../src/topology/node.ts'
import { nodeState } from '../../src/topology/node-state.ts'
import { type ServerCluster, sql, startServers, waitFor } from '../support/cluster.ts'

let cluster: ServerCluster
let monitor: Monitor
const monitors: Monitor[] = []
const events: MonitorEvent[] = []

/** Watches the nodes in the order that they have now; index 0 is the first primary. */
function watch(given: Partial<MonitorOptions> = {}, user = 'postgres', password?: string): Monitor {
  const nodes = cluster.nodes.map(({ name, host, port }, index) => ({
    id: name,
    index,
    host,
    port,
    zone: null,
    weight: 1,
  }))
  const login = {
    user,
    password: new Secret(password ?? cluster.password),
    database: cluster.database,
  }
  const nodeOf = (index: number) => {
    const spec = (given.nodes ?? nodes)[index]
    if (spec === undefined) return undefined
    const { id: name, host, port } = spec
    const node = {
      name,
      host,
      port,
      role: 'any' as const,
      weight: 1,
      tls: {},
      zone: undefined,
      login,
    }
    return { node, tls: noServerTls }
  }
  const one = new Monitor({
    nodes,
    openProbe: probeOpener(nodeOf, { connectTimeoutMs: 5000, statementTimeoutMs: 10_000 }),
    probeIntervalMs: 200,
    // Generous: the machine that runs the tests may be busy.
    probeTimeoutMs: 3000,
    maxLagMs: 1500,
    maxLagResumeMs: 500,
    slowStartMs: 0,
    ...given,
  })
  monitors.push(one)
  return one
}

function view(name: string, of = monitor): NodeView {
  const node = of.snapshot.nodes.find(({ id }) => id === name)
  if (node === undefined) throw new Error(`no node ${name}`)
  return node
}

const write = (text: string) => sql(cluster.node(PRIMARY).url, text)
let PRIMARY = ''
let R1 = ''
let R2 = ''

beforeAll(async () => {
  cluster = await startServers({ replicas: 2 })
  PRIMARY = cluster.primary.name
  const [one, two] = cluster.replicas
  R1 = one?.name ?? ''
  R2 = two?.name ?? ''
  monitor = watch({ onEvent: (event) => events.push(event) })
  await monitor.start()
})

afterAll(async () => {
  for (const one of monitors) await one.stop()
  await cluster?.stop()
})

describe('the monitor on a primary and two replicas', () => {
  it('finds roles, timeline and cluster by itself', async () => {
    expect(monitor.snapshot.primary?.id).toBe(PRIMARY)
    expect(monitor.snapshot.timeline).toBe(1)
    expect(monitor.snapshot.systemIdentifier).toMatch(/^\d{19}$/)
    await waitFor('both replicas to serve', () => view(R1).fresh && view(R2).fresh)
    expect(view(R1)).toMatchObject({
      role: 'replica',
      readable: true,
      streaming: true,
      timeline: 1,
    })
    expect(Math.floor(view(R1).serverVersion / 10_000)).toBe(cluster.version)
  })

  it('needs no more than a role that may log in', async () => {
    await write("CREATE ROLE watcher LOGIN PASSWORD 'w4tcher'")
    await cluster.catchUp()
    const humble = watch({}, 'watcher', 'w4tcher')
    await humble.start()
    await waitFor('the humble monitor to find the replicas fresh', () =>
      [R1, R2].every((name) => view(name, humble).fresh && view(name, humble).readable),
    )
    expect(humble.snapshot.primary?.id).toBe(PRIMARY)
    expect(view(R1, humble).streaming).toBeNull()
    expect(view(R1, humble).replayLsn).not.toBeNull()
    await humble.stop()
  })

  it('can do without the control file', async () => {
    await write(
      `REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint() FROM PUBLIC`,
    )
    await cluster.catchUp()
    const told: string[] = []
    const humble = watch({ onEvent: ({ kind }) => told.push(kind) }, 'watcher', 'w4tcher')
    await humble.start()
    await waitFor('the replicas to serve', () => view(R1, humble).fresh)
    expect(told).toContain('probe-degraded')
    expect(humble.snapshot.systemIdentifier).toBeNull()
    await humble.stop()
    await write(`GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint() TO PUBLIC`)
  })

  it('survives role defaults that a standby refuses', async () => {
    await write("ALTER ROLE watcher SET default_transaction_isolation = 'serializable'")
    await cluster.catchUp()
    const humble = watch({}, 'watcher', 'w4tcher')
    await humble.start()
    await waitFor('the replicas to serve', () => view(R1, humble).fresh)
    await humble.stop()
  })

  it('says why it can’t log in, without the password', async () => {
    const told: MonitorEvent[] = []
    const wrong = watch({ onEvent: (event) => told.push(event) }, 'watcher', 'n0t-the-password')
    await wrong.start()
    expect(wrong.snapshot.nodes.map(({ health }) => health)).toEqual(['down', 'down', 'down'])
    expect(told).toContainEqual(expect.objectContaining({ kind: 'node-down', reason: 'login' }))
    expect(JSON.stringify(told)).not.toContain('n0t-the-password')
    await wrong.stop()
  })

  it('reports no lag while the primary idles', async () => {
    await cluster.catchUp()
    await monitor.probeNow()
    await waitFor('a round without lag', () => view(R1).lagMs === 0 && view(R2).lagMs === 0)
  })

  it('measures how long replay has been standing, and takes the replica in when it caught up', async () => {
    await cluster.node(R1).pauseReplay()
    await write('CREATE TABLE lagging AS SELECT generate_series(1, 1000) AS i')
    await waitFor('r1 to be too old', () => !view(R1).fresh)
    expect(view(R1).lagMs).toBeGreaterThan(1500)
    expect(view(R1).lagBytes).toBeGreaterThan(0)
    expect(view(R1).healthReason).toMatch(/lags \d+ ms behind, replay is paused/)
    expect(view(R1)).toMatchObject({ health: 'up', readable: true, replayPaused: true })
    expect(view(R2)).toMatchObject({ fresh: true })
    await cluster.node(R1).resumeReplay()
    await waitFor('r1 to be fresh again', () => view(R1).fresh)
  })

  it('sees that a replica was cut off from its primary', async () => {
    await cluster.node(R2).detach()
    await write('CREATE TABLE cut_off AS SELECT 1 AS i')
    await waitFor('r2 to be too old', () => !view(R2).fresh)
    expect(view(R2)).toMatchObject({ health: 'up', streaming: false })
    await cluster.node(R2).follow(cluster.primary)
    await waitFor('r2 to be fresh again', () => view(R2).fresh && view(R2).streaming === true)
  })

  it('takes a stopped replica out and a started one in', async () => {
    await cluster.node(R1).stop()
    await waitFor('r1 to be out', () => view(R1).health === 'down')
    expect(events).toContainEqual(expect.objectContaining({ kind: 'node-down', node: R1 }))
    expect(monitor.snapshot.primary?.id).toBe(PRIMARY)
    await cluster.node(R1).start()
    await waitFor('r1 to be in', () => view(R1).readable && view(R1).fresh)
  })

  it('takes a frozen replica out by time-out', async () => {
    const hasty = watch({ probeTimeoutMs: 500, fall: 2 })
    await hasty.start()
    await waitFor('r2 to be in', () => view(R2, hasty).fresh)
    await cluster.node(R2).freeze()
    await waitFor('r2 to be out', () => view(R2, hasty).health === 'down')
    expect(view(R2, hasty).healthReason).toBe('no answer within 500 ms')
    await cluster.node(R2).thaw()
    await waitFor('r2 to be in again', () => view(R2, hasty).readable && view(R2, hasty).fresh)
    await hasty.stop()
  })

  it('takes the primary out and in again over a restart, while replicas serve on', async () => {
    await cluster.node(PRIMARY).stop()
    await waitFor('no primary', () => monitor.snapshot.primary === null)
    expect(view(R1)).toMatchObject({ readable: true, fresh: true })
    await cluster.node(PRIMARY).start()
    await waitFor('the primary', () => monitor.snapshot.primary?.id === PRIMARY)
    await waitFor('fresh replicas', () => view(R1).fresh && view(R2).fresh)
  })

  it('follows a promotion, fences the old primary and what still streams from it', async () => {
    await cluster.node(R1).promote()
    await waitFor('r1 to be primary', () => monitor.snapshot.primary?.id === R1)
    expect(monitor.snapshot.timeline).toBe(2)
    expect(monitor.snapshot.timelineStartLsn).not.toBeNull()
    await waitFor('the old primary to be fenced', () => view(PRIMARY).fenced !== null)
    expect(view(PRIMARY)).toMatchObject({ role: 'primary', readable: false, timeline: 1 })
    await write('CREATE TABLE split_brain AS SELECT generate_series(1, 1000) AS i')
    await waitFor('r2 to be told apart', () => !view(R2).readable)
    expect(view(R2).healthReason).toBe('on timeline 1, the primary is on 2')
    expect(nodeState(view(R2))).toBe('strayed')
    const fenced = events.find(({ kind }) => kind === 'node-fenced')
    expect(fenced).toMatchObject({ node: PRIMARY, reason: 'older-timeline' })
    const changes = events.filter((event) => event.kind === 'primary-changed')
    expect(changes.at(-1)).toMatchObject({ to: R1, timeline: 2 })
  })

  it('does not take the old primary back after it was alone for a while', async () => {
    await cluster.node(R1).stop('immediate')
    await waitFor('no primary', () => monitor.snapshot.primary === null)
    await monitor.probeNow()
    expect(monitor.snapshot.primary).toBeNull()
    expect(view(PRIMARY).fenced).not.toBeNull()
    await cluster.node(R1).start()
    await waitFor('r1 to be primary again', () => monitor.snapshot.primary?.id === R1)
  })
})

describe('two clusters in one list', () => {
  it('are not mixed up', async () => {
    const other = await startServers({ replicas: 0, password: cluster.password })
    try {
      const nodes = [cluster.node(R1), cluster.node(PRIMARY), other.primary].map(
        ({ host, port }, index) => ({ id: `n${index}`, index, host, port, zone: null, weight: 1 }),
      )
      const mixed = watch({ nodes })
      await mixed.start()
      expect(mixed.snapshot.primary?.id).toBe('n0')
      expect(view('n2', mixed).fenced).toMatch(/another cluster/)
      await mixed.stop()
    } finally {
      await other.stop()
    }
  })
})
