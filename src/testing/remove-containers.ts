import type { Engine } from './engine.ts'

/** The label that the containers of one cluster carry; its value is the cluster's id. */
export const CLUSTER_LABEL = 'pgsplit.testing.cluster'

/** Removes all containers of a cluster with their data, and its network, which has the id as name. */
export async function removeContainers(engine: Engine, clusterId: string): Promise<void> {
  const { dockerode } = engine.container
  const filters = { label: [`${CLUSTER_LABEL}=${clusterId}`] }
  const found = await dockerode.listContainers({ all: true, filters })
  await Promise.all(
    found.map(({ Id }) =>
      ignoringAbsence(dockerode.getContainer(Id).remove({ force: true, v: true })),
    ),
  )
  await ignoringAbsence(dockerode.getNetwork(clusterId).remove())
}

/** 404: somebody else has removed it; 409: somebody else is about to. */
async function ignoringAbsence(removal: Promise<unknown>): Promise<void> {
  try {
    await removal
  } catch (error) {
    const { statusCode } = error as { statusCode?: number }
    if (statusCode !== 404 && statusCode !== 409) throw error
  }
}
