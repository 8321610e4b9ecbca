import type { Recorder } from '../history/recorder.ts'
import type { HttpSource } from '../http/http-source.ts'
import { adminActions, type ProxyControl } from './admin-actions.ts'
import { adminSource } from './admin-view.ts'
import type { Cluster } from './cluster.ts'
import type { FrontDoor } from './front-door.ts'
import { metricsOf } from './metrics-view.ts'
import { sessionRows } from './session-rows.ts'

/** What the HTTP door shows and does: the same as the admin database, metrics, the last hour, and whether it is ready. */
export function httpSource(door: FrontDoor, control: ProxyControl, recorder: Recorder): HttpSource {
  const http = () => door.options.config.http
  return {
    admin: adminSource(door),
    actions: adminActions(door, control),
    people: {
      tokens: () =>
        (http()?.tokens ?? []).map(({ name, token, role }) => ({
          name,
          token: token.reveal(),
          role,
        })),
      roleOf: (user) => door.roleOf(user),
      secretOf: (user, { address, isTls, certificateName }) =>
        door.secretOf(user, { address, isTls, hasCertificate: certificateName !== null }),
      get trustsCertificates() {
        return http()?.tls.mode === 'verify-full'
      },
      get rateLimit() {
        return door.options.rateLimit
      },
      get mockVerifiers() {
        return door.options.mockVerifiers
      },
    },
    metrics: () => metricsOf(door),
    notReady: () => notReady(door),
    recorder,
    statementHistory: (name, id) => {
      const cluster = door.options.clusters.find((one) => one.name === name)
      if (cluster === undefined) return null
      for (const stats of cluster.meter.statements.all) {
        if (stats.id === id) return recorder.statements.of(stats)
      }
      return null
    },
    sessions: (limit) => sessionRows(door.sessions, limit),
    get isMetricsOpen() {
      return http()?.metrics !== 'readers'
    },
    onAction: (action, who, address) => {
      const facts = { event: 'operator_action', reason: 'operator', action, who, address }
      const text = `${who} asked for ${action}`
      door.options.logger.info(facts, text)
      recorder.events.note(null, 'info', facts, text)
    },
  }
}

function notReady(door: FrontDoor): string[] {
  if (door.isDraining) return ['pgsplit is draining']
  if (!door.isOpen) return ['pgsplit is starting']
  return door.options.clusters.filter((cluster) => !hasNode(cluster)).map(whyNot)
}

function hasNode({ snapshot }: Cluster): boolean {
  return (
    snapshot.primary !== null || snapshot.nodes.some(({ readable, fresh }) => readable && fresh)
  )
}

function whyNot({ name, snapshot }: Cluster): string {
  const nodes = snapshot.nodes.map(
    ({ id, fenced, healthReason }) => `${id}: ${fenced ?? healthReason}`,
  )
  const which = nodes.length === 0 ? 'no node is known' : nodes.join('; ')
  return `cluster ${name} has no primary, and no replica that may serve reads (${which})`
}
