import * as z from 'zod'
import type { AdminActions } from '../admin/admin-actions.ts'

interface ActionRequest {
  /** One clause for the description. */
  readonly help: string
  readonly body: z.ZodType
  /** Gives what the caller should know, a line each. `body` has been parsed by it. */
  readonly run: (
    actions: AdminActions,
    body: unknown,
    signal: AbortSignal,
  ) => Promise<readonly string[]> | readonly string[]
}

/** What an operator may do, by the last part of its path: the commands of the admin database. */
export const actionRequests: ReadonlyMap<string, ActionRequest> = new Map([
  onCluster(
    'pause',
    'hold back what would begin; answers when nothing runs any more',
    (actions, cluster, signal) => actions.pause(cluster, signal),
  ),
  onCluster('resume', 'let it go on', (actions, cluster) => actions.resume(cluster)),
  onNode('drain', 'send nothing new to a node; what runs there may end'),
  onNode('undrain', 'use it again'),
  action(
    'ban',
    'send nothing to a node, whatever its probes say',
    z.strictObject({ node: nodeName(), duration: z.string().max(40).nullable().default(null) }),
    (actions, { node, duration }) => actions.ban(node, duration),
  ),
  onNode('unban', 'use it again after its next good probe'),
  action('reload', 'read the configuration again, as SIGHUP does', z.strictObject({}), (actions) =>
    actions.reload(),
  ),
  action(
    'kill',
    'disconnect a client, by its id in /api/v1/clients',
    z.strictObject({ client: z.int().nonnegative() }),
    (actions, { client }) => actions.kill(client),
  ),
  action(
    'shutdown',
    'stop when requests in flight have ended (as SIGTERM), or at once',
    z.strictObject({ mode: z.enum(['wait', 'now']).default('wait') }),
    (actions, { mode }) => actions.shutdown(mode),
  ),
])

function action<Body extends z.ZodType>(
  name: string,
  help: string,
  body: Body,
  run: (actions: AdminActions, body: z.output<Body>, signal: AbortSignal) => unknown,
): readonly [string, ActionRequest] {
  return [
    name,
    {
      help,
      body,
      run: async (actions, given, signal) => {
        const lines = await run(actions, given as z.output<Body>, signal)
        return Array.isArray(lines) ? lines : []
      },
    },
  ]
}

function onNode(name: 'drain' | 'undrain' | 'unban', help: string) {
  return action(name, help, z.strictObject({ node: nodeName() }), (actions, { node }) =>
    actions[name](node),
  )
}

function onCluster(
  name: string,
  help: string,
  run: (actions: AdminActions, cluster: string | null, signal: AbortSignal) => Promise<void> | void,
) {
  const body = z.strictObject({ cluster: z.string().min(1).max(63).nullable().default(null) })
  return action(name, help, body, (actions, { cluster }, signal) => run(actions, cluster, signal))
}

/** `r1`, or with its cluster: `main.r1`. */
function nodeName() {
  return z.string().min(1).max(200)
}
