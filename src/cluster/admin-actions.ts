import type { AdminActions } from '../admin/admin-actions.ts'
import type { ClusterMember } from '../core/members.ts'
import { durationExample, parseDuration } from '../duration.ts'
import { ConfigError, PgSplitError } from '../errors.ts'
import type { Cluster } from './cluster.ts'
import type { FrontDoor } from './front-door.ts'

/** What only the whole proxy can do. */
export interface ProxyControl {
  /** Throws ConfigError, and nothing has changed. */
  reload(reason: 'operator' | 'signal'): ReloadReport
  stop(options: { readonly drain: boolean }): Promise<void>
}

/** Paths of options, as SHOW CONFIG names them. */
export interface ReloadReport {
  readonly changed: readonly string[]
  /** They differ in the file, but keep their value until pgsplit is started anew. */
  readonly needsRestart: readonly string[]
}

interface FoundNode {
  readonly cluster: Cluster
  readonly member: ClusterMember
}

/** The commands of the admin database, on the clusters at work. */
export function adminActions(door: FrontDoor, control: ProxyControl): AdminActions {
  const { clusters } = door.options
  const named = (name: string | null): readonly Cluster[] => {
    if (name === null) return clusters
    return [oneOf(clusters, name, ({ name: own }) => [own], 'cluster')]
  }
  const nodes = (): readonly FoundNode[] =>
    clusters.flatMap((cluster) =>
      cluster.members.all
        .filter(({ leavingSinceMs }) => leavingSinceMs === null)
        .map((member) => ({ cluster, member })),
    )
  const node = (name: string): FoundNode => {
    const namesOf = ({ cluster, member }: FoundNode): readonly string[] => {
      return [member.node.name, `${cluster.name}.${member.node.name}`]
    }
    return oneOf(nodes(), name, namesOf, 'node')
  }
  return {
    pause: async (name, signal) => {
      const chosen = named(name)
      const fresh = chosen.filter(({ isPaused }) => !isPaused)
      try {
        await Promise.all(chosen.map((cluster) => cluster.pause(signal)))
      } catch (error) {
        // All or none: who asked must not have to find out which.
        for (const cluster of fresh) cluster.resume()
        throw error
      }
    },
    resume: (name) => {
      for (const cluster of named(name)) cluster.resume()
    },
    drain: (name) => {
      const { cluster, member } = node(name)
      cluster.monitor.drain(member.index)
      for (const scope of cluster.scopes.values()) scope.retire(member.index)
    },
    undrain: (name) => {
      const { cluster, member } = node(name)
      cluster.monitor.undrain(member.index)
    },
    ban: (name, duration) => {
      const { cluster, member } = node(name)
      cluster.monitor.ban(member.index, duration === null ? null : durationOf(duration))
    },
    unban: (name) => {
      const { cluster, member } = node(name)
      cluster.monitor.unban(member.index)
    },
    reload: async () => {
      try {
        return linesOf(control.reload('operator'))
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        throw new PgSplitError(
          {
            sqlstate: 'F0000',
            message: `the configuration was not reloaded: ${error.message}`,
            hint: 'Nothing has changed; correct it and RELOAD again.',
          },
          error,
        )
      }
    },
    shutdown: (mode) => {
      // The answer goes out first.
      setImmediate(() => void control.stop({ drain: mode === 'wait' }))
    },
    kill: (id) => {
      const session = [...door.sessions].find((one) => one.id === id)
      if (session === undefined) {
        throw new PgSplitError({
          sqlstate: '42704',
          message: `there is no client ${id}`,
          hint: 'SHOW CLIENTS lists them.',
        })
      }
      session.terminate()
    },
  }
}

/** The one that has this name, in any case if no other differs by case only. */
function oneOf<T>(
  all: readonly T[],
  name: string,
  namesOf: (one: T) => readonly string[],
  what: string,
): T {
  const exact = all.filter((one) => namesOf(one).includes(name))
  const folded = name.toLowerCase()
  const found =
    exact.length > 0
      ? exact
      : all.filter((one) => namesOf(one).some((own) => own.toLowerCase() === folded))
  const [first, second] = found
  if (first !== undefined && second === undefined) return first
  const known = all.map((one) => namesOf(one)[second === undefined ? 0 : 1] ?? namesOf(one)[0])
  throw new PgSplitError({
    sqlstate: '42704',
    message:
      second === undefined ? `there is no ${what} "${name}"` : `"${name}" is more than one ${what}`,
    hint: `There is ${known.join(', ')}.`,
  })
}

function durationOf(text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms > 0) return ms
  throw new PgSplitError({
    sqlstate: '22023',
    message: `"${text.slice(0, 60)}" is no duration`,
    hint: `It takes ${durationExample}; more than 0.`,
  })
}

function linesOf({ changed, needsRestart }: ReloadReport): string[] {
  const lines = [changed.length === 0 ? 'nothing has changed' : `changed: ${changed.join(', ')}`]
  if (needsRestart.length > 0) lines.push(`needs a restart: ${needsRestart.join(', ')}`)
  return lines
}
