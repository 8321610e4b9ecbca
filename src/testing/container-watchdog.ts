import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectEngine, loadTestcontainers } from './engine.ts'
import { removeContainers } from './remove-containers.ts'

/**
 * Takes the place of Testcontainers' Ryuk where that is disabled: a process of its own, `node
 * container-watchdog.ts <cluster id>`, that removes the containers of a cluster when its standard
 * input ends without a line `done`: the process that started them is gone.
 */
const [clusterId] = process.argv.slice(2)
let done = false

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  if (line === 'done') done = true
})
lines.on('close', async () => {
  try {
    if (!done && clusterId !== undefined) await removeAll(clusterId)
  } finally {
    process.exit(0)
  }
})

/** Twice: the engine may still have been making a container when its client died. */
async function removeAll(id: string): Promise<void> {
  const engine = await connectEngine(await loadTestcontainers())
  await removeContainers(engine, id)
  await sleep(2000)
  await removeContainers(engine, id)
}
