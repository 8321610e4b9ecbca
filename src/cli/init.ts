import { writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { configFromFlags } from '../config/config-from-flags.ts'
import { ConfigError } from '../errors.ts'
import type { CommandIo } from './command-io.ts'
import { draftConfig } from './draft-config.ts'
import { errorLine } from './error-line.ts'
import { findReplicas } from './find-replicas.ts'
import { inspectNode, type NodeFacts } from './inspect-node.ts'

interface InitFlags {
  readonly primary?: string
  readonly replica?: readonly string[]
  readonly listen: string
  readonly out: string
  readonly force?: true
  readonly withPassword?: true
}

const repeat = (value: string, before: string[] = []): string[] => [...before, value]

/** `pgsplit init`: writes a configuration file from what is found behind one primary. */
export function initCommand(io: CommandIo): Command {
  return new Command('init')
    .description('write a commented pgsplit.yaml from what is found behind one primary')
    .option('--primary <url>', 'the primary, as the monitor: postgres://user:password@host/db')
    .addOption(
      new Option(
        '--replica <url>',
        'a replica beside those that are found; may be repeated',
      ).argParser(repeat),
    )
    .option('--listen <host:port>', 'where clients will connect', '127.0.0.1:6432')
    .option('-o, --out <file>', 'the file; "-" is standard output', 'pgsplit.yaml')
    .option('--force', 'write over a file that is there')
    .option('--with-password', "write the monitor's password into the file, in plain text")
    .action(async (flags: InitFlags) => {
      const { primary, replica, listen, out } = flags
      const config = configFromFlags(
        {
          ...(primary === undefined ? {} : { primary }),
          ...(replica === undefined ? {} : { replica }),
          listen: [listen],
        },
        { env: io.env },
      )
      const [cluster] = config.clusters
      const [node] = cluster?.nodes ?? []
      if (cluster === undefined || node === undefined) throw new Error('unreachable: there is one')
      const facts = await look(node, cluster)
      const found = await findReplicas(node, cluster, facts.systemIdentifier, inspectNode)
      const text = draftConfig({
        primary: node,
        ...found,
        password: passwordOf(node, flags),
        lookupFault: facts.lookupFault,
        listen,
      })
      if (out === '-') return io.print(text.trimEnd())
      write(out, text, flags)
      const replicas = `${found.replicas.length} replica${found.replicas.length === 1 ? '' : 's'}`
      io.print(`${out}: a primary and ${replicas}`)
      for (const line of found.unreachable) io.print(`not reached: ${line}`)
      if (facts.lookupFault !== null) io.print(`roles can't be looked up: ${facts.lookupFault}`)
      if (flags.withPassword && node.login.password !== undefined) {
        io.print(`${out} contains the monitor's password in plain text (mode 600)`)
      }
      io.print(`next: pgsplit serve --config ${out}`)
    })
}

async function look(node: NodeConfig, cluster: ClusterConfig): Promise<NodeFacts> {
  let facts: NodeFacts
  try {
    facts = await inspectNode(node, cluster)
  } catch (error) {
    throw new ConfigError('--primary', errorLine(error), error)
  }
  if (!facts.isStandby) return facts
  throw new ConfigError('--primary', 'this is a standby; give the URL of the primary')
}

function passwordOf(
  { login }: NodeConfig,
  { primary = '', withPassword }: InitFlags,
): { readonly variable: string } | { readonly text: string } | null {
  if (login.password === undefined) return null
  if (withPassword) return { text: login.password.reveal() }
  // The variable that the URL has its password from, if it has.
  const variable = /:\$\{([A-Za-z_]\w*)\}@/.exec(primary)?.[1]
  return { variable: variable ?? 'MONITOR_PASSWORD' }
}

function write(file: string, text: string, { force, withPassword }: InitFlags): void {
  try {
    writeFileSync(file, text, { flag: force ? 'w' : 'wx', mode: withPassword ? 0o600 : 0o644 })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code !== 'EEXIST') throw new ConfigError('--out', `can't write ${file}: ${code}`, error)
    throw new ConfigError('--out', `${file} is there already; choose another name, or --force`)
  }
}
