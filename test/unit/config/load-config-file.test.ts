// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is the configuration's syntax
import { describe, expect, it } from 'vitest'
import { loadConfigFile } from '../../../src/config/load-config-file.ts'

const load = (text: string, override?: Record<string, unknown>) =>
  loadConfigFile('pgsplit.yaml', { readFile: () => text, ...(override ? { override } : {}) })

const good = ['clusters:', '  main:', '    primary: postgres://m@h'].join('\n')

describe('a configuration file', () => {
  it('is read from YAML', () => {
    expect(load(good).clusters[0]?.nodes[0]?.host).toBe('h')
  })

  it('is read from JSON too', () => {
    expect(load('{"clusters": {"main": {"primary": "postgres://m@h"}}}').clusters).toHaveLength(1)
  })

  it('takes an empty section for the defaults', () => {
    expect(load(`${good}\n    pool:\nlog:\n`).clusters[0]?.pool.size).toBe(20)
  })

  it('gives way to what is said beside it', () => {
    const config = load(`${good}\nlog: { level: warn, format: pretty }`, {
      log: { level: 'debug' },
    })
    expect(config.log).toEqual({ level: 'debug', format: 'pretty' })
  })

  it.each([
    [
      `${good}\n    pool:\n      mode: session\n      sise: 3`,
      'clusters.main.pool.sise: unknown option; did you mean size? (pgsplit.yaml:6:7)',
    ],
    [
      `${good}\n    replicas:\n      - postgres://m@b\n      - mysql://x`,
      'clusters.main.replicas[1]: the scheme must be postgres:// or postgresql:// (pgsplit.yaml:6:9)',
    ],
    [
      `${good}\n    replicas:\n      - { url: '\${NONE}' }`,
      'clusters.main.replicas[0].url: the environment variable NONE is not set or empty; set it or write ${NONE:-default} (pgsplit.yaml:5:11)',
    ],
    ['a: [1', 'not valid YAML: Flow sequence in '],
    [`${good}\n---\na: 1`, 'not valid YAML: it holds several documents; leave out the line ---'],
    [
      `${good}\n    databases: [\${NAME}, b]`,
      "in a list in brackets a variable stands in quotes: ['${NAME}', b]",
    ],
    ['', 'the configuration is empty; it needs clusters with a primary (pgsplit.yaml)'],
    [`${good}\nclusters: {}`, 'not valid YAML: Map keys must be unique (pgsplit.yaml:4:1)'],
  ])('with a mistake says where: %j', (text, message) => {
    expect(() => load(text)).toThrow(message)
  })

  it('is refused when its aliases unfold without end', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
    for (let level = 1; level < 12; level++) {
      lines.push(
        `a${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(', ')}]`,
      )
    }
    expect(() => load(lines.join('\n'))).toThrow("pgsplit.yaml can't be read as YAML")
  })

  it('is refused when there is none', () => {
    expect(() => loadConfigFile('/nowhere/pgsplit.yaml')).toThrow(
      "can't read /nowhere/pgsplit.yaml: no such file",
    )
  })
})
