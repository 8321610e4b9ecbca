/**
 * What others feel of a flood: a client's latency without it and with it, from one address and from
 * 250, and the longest turn of the event loop meanwhile. The flood and pgsplit have processes of their
 * own, so it wants three cores; on fewer compare with the line of the base, which has them all.
 *
 *     node test/bench/micro-floods.ts [only] [seconds] [checkout]
 *
 * `only`: a part of a flood's name. `checkout`: another tree of pgsplit, to compare with.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'
import type { FloodName, ProcessFacts } from '../support/flood-child.ts'
import { FloodedProxy, floodChild, floodSchema, startFlood } from '../support/floods.ts'
import { RawClient } from './raw-client.ts'

const [only = '', seconds = '3', checkout] = process.argv.slice(2)
const proxyFile =
  checkout === undefined ? floodChild : join(checkout, 'test/support/flood-child.ts')

const floods: readonly FloodName[] = [
  'Sync',
  'empty queries',
  'NOTICEs',
  'prepared names',
  'half-sent queries',
  'long queries',
  'wrong cancels',
  'half log-ins',
]

interface Felt {
  readonly medianMs: number
  readonly p99Ms: number
  readonly longestMs: number
  readonly asked: number
}

function answer(client: RawClient): Promise<void> {
  return new Promise((resolve, reject) => {
    const { socket } = client
    const heard = (chunk: Buffer): void => {
      if (chunk.at(-6) !== 0x5a) return
      socket.off('data', heard)
      resolve()
    }
    socket.on('data', heard)
    socket.once('close', () => reject(new Error('the victim was cut off')))
    client.query('SELECT 1')
  })
}

async function feel(client: RawClient, ms: number): Promise<Felt> {
  const taken: number[] = []
  const end = performance.now() + ms
  client.socket.setMaxListeners(0)
  while (performance.now() < end) {
    const start = performance.now()
    await answer(client)
    taken.push(performance.now() - start)
    await sleep(1)
  }
  taken.sort((a, b) => a - b)
  const at = (share: number): number => taken[Math.floor((taken.length - 1) * share)] ?? 0
  return { medianMs: at(0.5), p99Ms: at(0.99), longestMs: at(1), asked: taken.length }
}

const cluster = await startEmbedded({ database: 'bench' })
const { primary, database } = cluster
await primary.query(floodSchema, [], database)
const cell = (felt: Felt): string =>
  [felt.medianMs, felt.p99Ms, felt.longestMs].map((ms) => ms.toFixed(2)).join(' | ')
try {
  console.log(
    '| flood | addresses | base ms: median | p99 | longest | meanwhile: median | p99 | longest | longest turn | its CPU: p99 / longest | the longest = ran + waited for a processor | rss MB | rss after |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|---|---|---|---|')
  for (const what of floods.filter((name) => name.includes(only))) {
    for (const addresses of [1, 250]) {
      const server = await FloodedProxy.start(cluster, proxyFile)
      const { port } = server
      const victim = await RawClient.connect(port, database)
      await feel(victim, 500)
      const base = await feel(victim, Number(seconds) * 1000)
      await server.ask()
      const stopFlood = await startFlood({ what, port, database, addresses }, true)
      const felt = await feel(victim, Number(seconds) * 1000)
      const during = await server.ask()
      const { maxMs, p99Ms, longest } = await server.turns()
      await stopFlood()
      await sleep(1_000)
      const after = await server.ask()
      const mb = ({ rss }: ProcessFacts): string => (rss / 2 ** 20).toFixed(0)
      console.log(
        `| ${what} | ${addresses} | ${cell(base)} | ${cell(felt)} | ${during.maxMs.toFixed(1)} | ${p99Ms.toFixed(2)} / ${maxMs.toFixed(2)} | ${longest.ms.toFixed(1)} = ${longest.ranMs.toFixed(1)} + ${longest.waitedMs.toFixed(1)} | ${mb(during)} | ${mb(after)} |`,
      )
      victim.end()
      await server.stop()
    }
  }
} finally {
  await cluster.stop()
}
