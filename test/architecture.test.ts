import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))
const files = globSync('**/*.ts', { cwd: src }).filter((file) => !file.endsWith('.d.ts'))

/** The rooms of `src/README.md`'s table, each with what it may import. */
const allowed = new Map(
  readFileSync(join(src, 'README.md'), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const row = /^\| `([a-z]+)\/` \|.*\|([^|]*)\|$/.exec(line)
      if (row === null) return []
      const names = [...(row[2] ?? '').matchAll(/`([a-z-]+)`/g)].map(([, name]) => name ?? '')
      return [[row[1] ?? '', new Set(names)] as const]
    }),
)

/** `client` for `client/session.ts`, `log` for `log.ts`. */
function roomOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : file.replace(/\.ts$/, '')
}

/** Files of `src` that a file imports, dynamic imports and types included. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8')
  const specifiers = text.matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.{1,2}\/[^']+)'/g)
  return [...specifiers].map(([, path]) =>
    relative(src, join(src, dirname(file), path ?? '')).replaceAll('\\', '/'),
  )
}

describe('the house', () => {
  it('has the rooms that src/README.md names, and the test sees their files', () => {
    const rooms = new Set(files.filter((file) => file.includes('/')).map(roomOf))
    expect([...allowed.keys()].sort()).toEqual([...rooms].sort())
    expect(files.length).toBeGreaterThan(150)
    expect(importsOf('proxy.ts')).toContain('cluster/cluster.ts')
  })

  it.each([...allowed])('lets %s import only what its line allows', (room, names) => {
    const found = files
      .filter((file) => roomOf(file) === room)
      .flatMap((file) => importsOf(file).map((path) => ({ file, path })))
    expect(found.length).toBeGreaterThan(0)
    const strays = found.filter(({ path }) => {
      const target = roomOf(path)
      return target !== room && target !== 'errors' && !names.has(target)
    })
    expect(strays).toEqual([])
  })

  it('names no room that is not needed', () => {
    for (const [room, names] of allowed) {
      const used = new Set(
        files
          .filter((file) => roomOf(file) === room)
          .flatMap(importsOf)
          .map(roomOf),
      )
      expect(
        [...names].filter((name) => !used.has(name)),
        room,
      ).toEqual([])
    }
  })

  it('imports by whole file names that exist', () => {
    const strays = files.flatMap((file) => importsOf(file).filter((path) => !files.includes(path)))
    expect(strays.filter((path) => !path.endsWith('.d.ts'))).toEqual([])
  })
})
