import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const manifest = JSON.parse(read('package.json'))

interface Workflow {
  readonly on: Record<string, unknown>
  readonly jobs: Record<string, { needs?: string | string[]; steps: { run?: string }[] }>
}

describe.each(['ci', 'release'])('.github/workflows/%s.yml', (name) => {
  const { on, jobs }: Workflow = parse(read(`.github/workflows/${name}.yml`))
  const runs = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []))

  it('calls .ci/run, and only programs of the repository that are there', () => {
    expect(Object.keys(on).length).toBeGreaterThan(0)
    expect(runs.join('\n')).toMatch(/\.ci\/run$/m)
    const called = runs.flatMap((run) => run.match(/\.ci\/[\w-]+/g) ?? [])
    for (const path of called) expect(existsSync(join(root, path)), path).toBe(true)
  })

  it('waits for jobs that it has', () => {
    for (const { needs = [] } of Object.values(jobs)) {
      for (const job of [needs].flat()) expect(jobs).toHaveProperty([job])
    }
  })
})

describe('the release', () => {
  const { jobs }: Workflow = parse(read('.github/workflows/release.yml'))

  it('publishes nothing that has not passed .ci/run', () => {
    for (const [name, { needs = [] }] of Object.entries(jobs)) {
      if (name === 'check') continue
      const all = [needs].flat().flatMap((job) => [job, jobs[job]?.needs ?? []].flat())
      expect(all, name).toContain('check')
    }
  })

  const changelog = (...args: string[]) =>
    spawnSync(join(root, '.ci/changelog'), args, { encoding: 'utf8' })

  it('has a changelog, made of the first lines of commits', () => {
    const { status, stdout } = changelog()
    expect(status).toBe(0)
    expect(stdout).toMatch(/^# Changelog\n[\s\S]+\n## Unreleased\n\n(- .+\n)+/)
    expect(read('CHANGELOG.md')).toMatch(/^# Changelog\n[\s\S]+\n## /)
  })

  it('is of the version that package.json says', () => {
    expect(changelog('--check', manifest.version).status).toBe(0)
    const other = changelog('--check', '99.0.0')
    expect(other).toMatchObject({ status: 1 })
    expect(other.stderr).toContain('the tag says 99.0.0')
  })
})

it('the Node.js of .nvmrc and of the devcontainer runs pgsplit', () => {
  const least = Number(/\d+/.exec(manifest.engines.node)?.[0])
  expect(Number(read('.nvmrc'))).toBeGreaterThanOrEqual(least)
  const { image } = JSON.parse(read('.devcontainer/devcontainer.json'))
  expect(image).toContain(`:${read('.nvmrc').trim()}-`)
})
