import { defineConfig } from 'vitepress'

/** Where files are that are no pages; links to them are left out of the site without it. */
const repository = process.env.PGSPLIT_REPOSITORY ?? ''

const page = (text: string, link: string) => ({ text, link })

export default defineConfig({
  title: 'pgsplit',
  description: 'Read/write splitting for PostgreSQL by proof',
  cleanUrls: true,
  // The repository's own test reads all links, those to files beside the pages, too.
  ignoreDeadLinks: [/(^|\/)(examples|test|deploy|docker|src)(\/|$)/, /decisions\/?$/],
  markdown: {
    config: (md) => {
      md.core.ruler.push('links-to-the-repository', ({ tokens }) => {
        for (const { children } of tokens) {
          for (const token of children ?? []) {
            const link = token
              .attrGet('href')
              ?.match(/^(?:\.\.\/)+((?:examples|test|deploy|docker|src)\b.*)/)
            if (link?.[1] !== undefined && repository !== '') {
              token.attrSet('href', `${repository}/blob/main/${link[1]}`)
            }
          }
        }
      })
    },
  },
  themeConfig: {
    search: { provider: 'local' },
    sidebar: [
      {
        text: 'Start',
        items: [
          page('Quickstart', '/start/quickstart'),
          page('Install', '/start/install'),
          page('Users and TLS', '/start/users-and-tls'),
          page('Connection strings', '/start/connection-strings'),
        ],
      },
      {
        text: 'Behaviour',
        items: [
          page('Routing', '/behaviour/routing'),
          page('Consistency', '/behaviour/consistency'),
          page('When things fail', '/behaviour/failover'),
          page('Discovery', '/behaviour/discovery'),
          page('Pools and pinning', '/behaviour/pools'),
          page('Limits', '/behaviour/limits'),
        ],
      },
      {
        text: 'Operation',
        items: [
          page('Admin database', '/operation/admin'),
          page('Configuration', '/operation/configuration'),
          page('Metrics and health', '/operation/metrics'),
          page('Statements', '/operation/statements'),
          page('Log events', '/operation/log-events'),
          page('Planned switchover', '/operation/switchover'),
          page('Troubleshooting', '/operation/troubleshooting'),
        ],
      },
      {
        text: 'Programs',
        items: [
          page('Drizzle', '/programs/drizzle'),
          page('Web requests', '/programs/web-requests'),
          page('Next.js and bundlers', '/programs/nextjs'),
          page('postgres.js, over a proxy', '/programs/drizzle-drivers'),
          page('The proxy in a program', '/programs/node'),
          page('Tests', '/programs/testing'),
        ],
      },
      {
        text: 'Coming from',
        items: [
          page('PgBouncer', '/migration/pgbouncer'),
          page('Pgpool-II', '/migration/pgpool'),
          page('withReplicas', '/migration/with-replicas'),
        ],
      },
      {
        text: 'More',
        items: [
          page('Comparison', '/comparison'),
          page('Benchmarks', '/benchmarks'),
          page('Security', '/security'),
          page('Decision: the default level', '/decisions/0001-default-consistency'),
        ],
      },
    ],
  },
})
