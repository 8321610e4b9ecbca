import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import {
  circles,
  countBy,
  foreignWrites,
  type HouseFile,
  mutablePublicFields,
  readHouse,
  roomOf as roomOfFile,
} from './support/house-measures.ts'

const src = fileURLToPath(new URL('../src', import.meta.url))
const house = readHouse()
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

/**
 * What is worse than it should be, as it is now: these numbers may only become smaller. What isn't
 * named has 0. `node test/support/house-measures.ts` shows the present ones.
 */
const filesInCircles: Record<string, number> = { client: 13, drizzle: 2 }
const mutableFields: Record<string, number> = {
  AnswerScript: 2,
  Arrivals: 1,
  ClientSession: 23,
  Collected: 1,
  CopyIn: 1,
  InFlight: 1,
  LoginGate: 1,
  OwnAnswers: 1,
  PreparedStatement: 6,
  Request: 65,
  Resolver: 3,
  ServerConnection: 2,
  StatementNames: 2,
  StatementRegistry: 1,
  Transaction: 5,
}
const writesToOthers: Record<string, number> = { client: 267, server: 12 }
const longFiles = [
  'catalog/catalog-watch.ts',
  'client/collect-messages.ts',
  'client/request.ts',
  'client/session.ts',
  'core/cluster-core.ts',
  'drizzle/proxy/proxy-door.ts',
  'pool/node-pool.ts',
  'server/server-connection.ts',
  'sql/query-walk.ts',
]

/** What is beyond its number. */
function beyond(found: Record<string, number>, most: Record<string, number>): string[] {
  return Object.entries(found)
    .filter(([name, count]) => count > (most[name] ?? 0))
    .map(([name, count]) => `${name}: ${count}, may be ${most[name] ?? 0}`)
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

  it('has no further circle of value imports inside a room', () => {
    const found: Record<string, number> = {}
    for (const circle of circles(house)) {
      const room = roomOfFile(circle[0] ?? '')
      found[room] = (found[room] ?? 0) + circle.length
    }
    expect(beyond(found, filesInCircles), 'files in circles').toEqual([])
  })

  it('has no further field of a client or a server connection that everybody may write', () => {
    const rooms = house.filter(({ file }) => ['client', 'server'].includes(roomOfFile(file)))
    const found = countBy(rooms.flatMap(mutablePublicFields), ({ owner }) => owner)
    expect(found.ClientSession).toBeGreaterThan(0)
    expect(beyond(found, mutableFields), 'mutable public fields').toEqual([])
  })

  it('has no further place where one writes what belongs to another', () => {
    const rooms = house.filter(({ file }) => roomOfFile(file) in writesToOthers)
    const writers = rooms.flatMap((one) => foreignWrites(one).map(() => roomOfFile(one.file)))
    const found = countBy(writers, (room) => room)
    expect(found.client).toBeGreaterThan(0)
    expect(beyond(found, writesToOthers), 'writes to a field of another').toEqual([])
  })

  it('asks one clock for the time in what serves clients, which a test may set', () => {
    const askers = house.filter(
      ({ file, lines }) =>
        ['client', 'cluster', 'pool'].includes(roomOfFile(file)) &&
        lines.some((line) => line.includes('performance.now(')),
    )
    expect(askers.map(({ file }) => file)).toEqual([])
  })

  it('has no further file of more than 400 lines', () => {
    const long = house.filter(({ lines }) => lines.length > 400).map(({ file }) => file)
    expect(long.filter((file) => !longFiles.includes(file))).toEqual([])
  })
})

describe('what measures the house', () => {
  const of = (text: string): HouseFile => ({ file: 'client/a.ts', lines: text.split('\n') })

  it('sees fields that everybody may write, and no others', () => {
    const text = [
      'export class A {',
      '  readonly a = 1',
      '  b = 1',
      '  c: string | null = null',
      '  #d = 1',
      '  static e = 1',
      '  get f(): number {',
      '  }',
      '  onG = (): void => {}',
      '  h(): void {',
      '    this.b = 2',
      '  }',
      '}',
      'const i = {',
      '  j: 1,',
      '}',
    ]
    expect(mutablePublicFields(of(text.join('\n')))).toEqual([
      { owner: 'A', name: 'b' },
      { owner: 'A', name: 'c' },
      { owner: 'A', name: 'onG' },
    ])
  })

  it('sees writes to what belongs to another', () => {
    const text = [
      '  session.a = 1',
      '  if (session.b === 1) session.c ??= 2',
      '    else this.#session.d++',
      '  this.#e = 1',
      '  this.f += session.g',
      '  session.h === 1',
      '  const i = session.j',
      '  session.run(() => 1)',
      '  if (a) return',
    ]
    expect(foreignWrites(of(text.join('\n')))).toEqual([
      'session.a',
      'session.c',
      'this.#session.d',
    ])
  })

  it('sees circles of values, not of types', () => {
    const files = [
      { file: 'client/a.ts', lines: ["import { b } from './b.ts'", 'export const a = b'] },
      { file: 'client/b.ts', lines: ['import {', '  type T,', '  c,', "} from './c.ts'"] },
      { file: 'client/c.ts', lines: ["import { x } from 'node:fs'", "import { a } from './a.ts'"] },
      {
        file: 'client/d.ts',
        lines: ["import { type A } from './a.ts'", "import { e } from './e.ts'"],
      },
      { file: 'client/e.ts', lines: ["import type { D } from './d.ts'"] },
    ]
    expect(circles(files)).toEqual([['client/a.ts', 'client/b.ts', 'client/c.ts']])
  })
})
