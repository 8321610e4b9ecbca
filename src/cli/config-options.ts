import { type Command, Option } from 'commander'

const repeat = (value: string, before: string[] = []): string[] => [...before, value]

/**
 * The flags that stand for a configuration: the same for serve, check and explain, so that a
 * command line can be checked by changing one word. Values are judged by the configuration.
 */
export function withConfigOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration file (YAML); see pgsplit config --reference')
    .option('--primary <url>', 'the primary, as the monitor: postgres://user:password@host/db')
    .addOption(new Option('--replica <url>', 'a replica; may be repeated').argParser(repeat))
    .addOption(
      new Option('--listen <host:port>', 'default 127.0.0.1:6432; may be repeated').argParser(
        repeat,
      ),
    )
    .addOption(
      new Option(
        '--http-listen <host:port>',
        'opens the HTTP door (metrics, health, JSON); may be repeated',
      ).argParser(repeat),
    )
    .option('--balancer <name>', 'how a replica is chosen, default least-connections')
    .option('--max-lag <duration>', 'how far a replica may lag, default 10s')
    .option('--pool-size <number>', 'server connections per node, user and database, default 20')
    .option('--pool-mode <mode>', 'transaction (default) or session')
    .option('--auth <method>', 'scram-sha-256 (default), md5, trust or cert')
    .option('--lookup <where>', 'verifiers of roles: auto (default), pg_authid, a function, or off')
    .option('--max-clients <number>', 'client connections at a time, default 2000')
    .option('--tls-cert <file>', 'certificate for clients (PEM)')
    .option('--tls-key <file>', 'its private key (PEM)')
    .option('--log-level <level>', 'fatal, error, warn, info (default), debug, trace or silent')
    .option('--log-format <format>', 'json (default) or pretty')
}
