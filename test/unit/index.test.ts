import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as door from '../../src/index.ts'

describe("the package's door", () => {
  it('has these names and no other', () => {
    expect(Object.keys(door).sort()).toEqual([
      'ConfigError',
      'PgSplitError',
      'createLogger',
      'loadConfigFile',
      'parseConfig',
      'startProxy',
    ])
  })

  it('is where package.json says, after a build', () => {
    const root = new URL('../../', import.meta.url)
    const { bin, exports: entries } = JSON.parse(
      readFileSync(new URL('package.json', root), 'utf8'),
    ) as { bin: { pgsplit: string }; exports: { '.': Record<string, string> } }
    const sources = [bin.pgsplit, ...Object.values(entries['.'])].map((path) =>
      path
        .replace('./', '')
        .replace('dist/', 'src/')
        .replace(/(\.d\.ts|\.js)$/, '.ts'),
    )
    for (const source of sources) expect(readFileSync(new URL(source, root), 'utf8')).not.toBe('')
    expect(new Set(sources)).toEqual(new Set(['src/cli.ts', 'src/index.ts']))
  })
})
