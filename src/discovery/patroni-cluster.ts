/**
 * What Patroni's REST API answers to GET /cluster (Patroni documentation, "Cluster status
 * endpoints"; `cluster_as_json` of Patroni 3.0 to 4.0).
 */
import * as z from 'zod'
import { isHost, type Member, type MemberList } from './member.ts'

/** Longest name that is taken over. */
const maxNameLength = 128
/** More members than any cluster has: what is beyond is not looked at. */
const maxMembers = 256

const nothing = z.unknown().transform(() => undefined)
const port = z.union([z.number(), z.string().regex(/^\d{1,5}$/)]).transform(Number)
const word = z.string().max(64)

const member = z.object({
  name: z
    .string()
    .min(1)
    .max(maxNameLength)
    .regex(/^[^\p{C}]*$/u),
  // A member that has not come up yet has no address.
  host: z.string().refine(isHost).optional().or(nothing),
  port: port.pipe(z.int().min(1).max(65_535)).optional(),
  role: word.optional().or(nothing),
  state: word.optional().or(nothing),
  api_url: z.string().max(2048).optional().or(nothing),
  tags: z.record(z.string(), z.unknown()).optional().or(nothing),
})

const answer = z.object({
  members: z.array(member).max(maxMembers),
  pause: z.unknown().optional(),
  scope: z.unknown().optional(),
})

type PatroniMember = z.output<typeof member>

export interface PatroniCluster extends MemberList {
  /** REST API of every member that tells one. */
  readonly apiUrls: readonly string[]
  /** The cluster's name; null = it doesn't tell, as Patroni 3.0. */
  readonly scope: string | null
}

/** Reads the answer's text. Throws an Error that says where it is not what Patroni would say. */
export function parsePatroniCluster(text: string): PatroniCluster {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error('its answer is no JSON')
  }
  const result = answer.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]
    throw new Error(`its answer is not Patroni's: ${issue?.path.join('.') || 'no members'}`)
  }
  const { members, pause, scope } = result.data
  return {
    members: members.flatMap(memberOf),
    isPaused: pause === true,
    validMs: null,
    complaint: null,
    apiUrls: members.flatMap(({ api_url }) => (api_url === undefined ? [] : [api_url])),
    scope: typeof scope === 'string' ? scope : null,
  }
}

function memberOf(found: PatroniMember): Member[] {
  const { name, host, role = 'unknown', state, tags = {} } = found
  if (host === undefined) return []
  const set = ['noloadbalance', 'nofailover', 'clonefrom'].filter((tag) => tags[tag] === true)
  const { zone } = tags
  return [
    {
      name,
      host,
      port: found.port ?? 5432,
      serverName: null,
      claim: [role, state, ...set].filter((part) => part !== undefined && part !== '').join(', '),
      // The leader of a standby cluster is a replica of another cluster: it takes no writes.
      isLeader: role === 'leader' || role === 'master' || role === 'primary',
      isBalanced: tags.noloadbalance !== true,
      zone: typeof zone === 'string' && zone !== '' && zone.length <= maxNameLength ? zone : null,
    },
  ]
}
