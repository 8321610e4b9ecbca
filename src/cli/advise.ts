import { Command } from 'commander'
import * as z from 'zod'
import { ConfigError } from '../errors.ts'
import type { CommandIo } from './command-io.ts'

/** Longest wait for the answer, ms. */
const timeoutMs = 10_000
const shownByDefault = 20

const answer = z.object({
  rows: z.array(
    z.object({
      database: z.string(),
      query: z.string(),
      calls: z.number(),
      primary_us: z.number(),
      p95_us: z.number().nullable(),
      why: z.string().nullable(),
      advice: z.string().nullable(),
    }),
  ),
})

type Statement = z.output<typeof answer>['rows'][number]

interface AdviseFlags {
  readonly limit: string
}

/** `pgsplit advise`: what would move most load off the primary, as a running pgsplit has seen it. */
export function adviseCommand(io: CommandIo): Command {
  return new Command('advise')
    .description('say what keeps most load on the primary, and what would move it to the replicas')
    .argument(
      '<url>',
      "pgsplit's HTTP door: http://user:password@host:9187; or PGSPLIT_TOKEN is set",
    )
    .option('--limit <number>', 'how many statements', String(shownByDefault))
    .action(async (url: string, { limit }: AdviseFlags) => {
      if (!/^[1-9]\d{0,3}$/.test(limit)) {
        throw new ConfigError('--limit', 'expected a whole number from 1 to 9999')
      }
      const statements = await readStatements(url, io.env.PGSPLIT_TOKEN)
      for (const line of adviceLines(statements, Number(limit))) io.print(line)
    })
}

async function readStatements(text: string, token: string | undefined): Promise<Statement[]> {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ConfigError('<url>', 'expected http://host:port or https://host:port')
  }
  const { username, password, origin } = url
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  const basic = `Basic ${Buffer.from(user).toString('base64')}`
  const authorization = token === undefined || username !== '' ? basic : `Bearer ${token}`
  const path = `${url.pathname.replace(/\/$/, '')}/api/v1/statements`
  const response = await fetch(`${origin}${path}`, {
    headers: { authorization },
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('<url>', `pgsplit does not answer at ${origin}: ${why}`)
  })
  if (response.status === 401) {
    throw new ConfigError('<url>', 'needs an administrator and its password, or PGSPLIT_TOKEN')
  }
  const body = answer.safeParse(await response.json().catch(() => null))
  if (!response.ok || !body.success) {
    throw new ConfigError('<url>', `${origin} is no pgsplit of this version (${response.status})`)
  }
  return body.data.rows
}

/** The list for people; shares are of the time of all statements on the primary. */
function adviceLines(statements: readonly Statement[], limit: number): string[] {
  const allUs = statements.reduce((sum, { primary_us }) => sum + primary_us, 0)
  if (allUs === 0) return ['nothing has run on the primary yet']
  const share = (us: number): string => `${((100 * us) / allUs).toFixed(1)} %`
  const movable = statements
    .filter(({ advice, primary_us }) => advice !== null && primary_us > 0)
    .toSorted((one, other) => other.primary_us - one.primary_us)
  const movableUs = movable.reduce((sum, { primary_us }) => sum + primary_us, 0)
  const lines = movable.slice(0, limit).flatMap((statement, i) => {
    const { advice, calls, database, p95_us, primary_us, query, why } = statement
    const facts = `${calls} calls, p95 ${((p95_us ?? 0) / 1000).toFixed(2)} ms, in ${database}`
    return [
      `${String(i + 1).padStart(2)}. ${share(primary_us)} of the primary's time: ${query}`,
      `    ${facts}`,
      `    ${why ?? ''}`,
      `    → ${advice ?? ''}`,
    ]
  })
  return [
    ...lines,
    `${share(movableUs)} of the primary's time might move; the rest writes, or must see what is only there.`,
  ]
}
