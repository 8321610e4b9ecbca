import { startEmbedded } from '../../src/embedded/start-embedded.ts'

/**
 * A program for the tests: starts a cluster, says so in one line of JSON, and then ends in the way
 * that its argument says.
 */
const cluster = await startEmbedded({
  replicas: 1,
  ...(process.argv[3] === undefined ? {} : { binDir: process.argv[3] }),
})
const pids = cluster.nodes.map(({ pid }) => pid)
console.log(JSON.stringify({ directory: cluster.directory, pids, url: cluster.primary.url }))
if (process.argv[2] === 'throw') throw new Error('on purpose')
if (process.argv[2] === 'stay') setInterval(() => {}, 1000)
