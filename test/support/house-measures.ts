import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const src = fileURLToPath(new URL('../../src', import.meta.url))

/** One file of `src`, as its measures are taken of it: its path there, and its lines. */
export interface HouseFile {
  readonly file: string
  readonly lines: readonly string[]
}

export function readHouse(): HouseFile[] {
  return globSync('**/*.ts', { cwd: src })
    .filter((file) => !file.endsWith('.d.ts'))
    .sort()
    .map((file) => {
      const path = file.replaceAll('\\', '/')
      return { file: path, lines: readFileSync(join(src, file), 'utf8').trimEnd().split('\n') }
    })
}

/** A field of a class that everybody may write. */
export interface PublicField {
  readonly owner: string
  readonly name: string
}

/** Fields that are neither `readonly` nor `#private`; the formatter puts each at two spaces. */
export function mutablePublicFields({ lines }: HouseFile): PublicField[] {
  const found: PublicField[] = []
  let owner: string | null = null
  for (const line of lines) {
    const opened = /^(?:export )?(?:abstract )?class (\w+)/.exec(line)
    if (opened !== null) owner = opened[1] ?? null
    else if (line === '}') owner = null
    if (owner === null) continue
    const field = /^ {2}(?!readonly |static |get |set |async |declare )(\w+)[?!]?(?::| =)/.exec(
      line,
    )
    if (field !== null) found.push({ owner, name: field[1] ?? '' })
  }
  return found
}

/** Assignments to a field of another object than the one whose method it is: `a.b = …`, `this.#a.b++`. */
export function foreignWrites({ lines }: HouseFile): string[] {
  const target = /^\s*(?:(?:else|if \(.*\)) )*((?:[A-Za-z_]\w*|this\.#?\w+)(?:\??\.#?\w+)+)/
  const operator = /^\s*(?:=(?![=>])|[-+*|&^]=|\?\?=|\|\|=|&&=|\+\+|--)/
  return lines.flatMap((line) => {
    const path = target.exec(line)
    if (path === null || /^this\.#?\w+$/.test(path[1] ?? '')) return []
    return operator.test(line.slice(path[0].length)) ? [path[1] ?? ''] : []
  })
}

/** Files of `src` of which a file takes values, not only types. */
export function valueImports({ file, lines }: HouseFile): string[] {
  const statements = lines.join('\n').matchAll(/^import (?!type )([^;']*?) from '(\.[^']+)'/gm)
  return [...statements].flatMap(([, names, path]) => {
    const inner = /^\{([^}]*)\}$/s.exec(names ?? '')
    const isTypes = inner?.[1]?.split(',').every((name) => /^\s*(?:type |$)/.test(name)) ?? false
    const target = relative(src, join(src, dirname(file), path ?? '')).replaceAll('\\', '/')
    return isTypes ? [] : [target]
  })
}

/** Groups of files that import values of each other, each round about (Tarjan's components). */
export function circles(files: readonly HouseFile[]): string[][] {
  const targets = new Map(files.map((one) => [one.file, valueImports(one)]))
  const numbers = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (file: string): void => {
    const number = numbers.size
    numbers.set(file, number)
    lowest.set(file, number)
    stack.push(file)
    for (const next of targets.get(file) ?? []) {
      if (!targets.has(next)) continue
      if (!numbers.has(next)) visit(next)
      if (stack.includes(next)) {
        lowest.set(file, Math.min(lowest.get(file) ?? 0, lowest.get(next) ?? 0))
      }
    }
    if (lowest.get(file) !== number) return
    const circle = stack.splice(stack.indexOf(file))
    if (circle.length > 1) found.push(circle.sort())
  }
  for (const file of targets.keys()) if (!numbers.has(file)) visit(file)
  return found
}

/** `client` for `client/session.ts`; '' for a file beside the rooms. */
export function roomOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : ''
}

/** How many of a list there are by what they have in common. */
export function countBy<T>(list: readonly T[], keyOf: (one: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const one of list) counts[keyOf(one)] = (counts[keyOf(one)] ?? 0) + 1
  return counts
}

/** `node test/support/house-measures.ts` shows what the architecture test holds the house against. */
function show(): void {
  const house = readHouse()
  const client = house.filter(({ file }) => roomOf(file) === 'client')
  const fields = house.flatMap((one) =>
    mutablePublicFields(one).map(({ owner }) => `${roomOf(one.file)} ${owner}`),
  )
  const lengths = client.map(({ lines }) => lines.length).sort((a, b) => a - b)
  console.log({
    clientFiles: client.length,
    clientLines: lengths.reduce((sum, one) => sum + one, 0),
    clientMedian: lengths[lengths.length >> 1],
    overFourHundred: house.filter(({ lines }) => lines.length > 400).map(({ file }) => file),
    circles: circles(house).map((circle) => `${circle.length}: ${circle[0]} …`),
    mutablePublicFields: countBy(fields, (one) => one),
    foreignWrites: countBy(
      house.flatMap((one) => foreignWrites(one).map(() => roomOf(one.file))),
      (room) => room,
    ),
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) show()
