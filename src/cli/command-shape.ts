import type { Command } from 'commander'
import { configJsonSchema } from '../config/json-schema.ts'

/** A flag, as completions and the manual page need it. */
export interface FlagShape {
  /** `--config` */
  readonly long: string
  /** `-c`; null: it has none. */
  readonly short: string | null
  /** `file`, `url` …: what it takes; null: nothing. */
  readonly value: string | null
  /** What it takes, where that is one of a few words. */
  readonly words: readonly string[]
  readonly help: string
}

/** A command with its flags. */
export interface CommandShape {
  readonly name: string
  /** `pgsplit explain [options] [sql]` */
  readonly usage: string
  readonly help: string
  readonly flags: readonly FlagShape[]
  /** What its argument may be, where that is one of a few words. */
  readonly words: readonly string[]
}

/** Flags whose values the configuration lists, with the way to them there. */
const listed: Readonly<Record<string, readonly string[]>> = {
  '--balancer': ['clusters', '*', 'routing', 'balancer'],
  '--pool-mode': ['clusters', '*', 'pool', 'mode'],
  '--auth': ['clusters', '*', 'auth', 'method'],
  '--log-level': ['log', 'level'],
  '--log-format': ['log', 'format'],
}

/** The commands of a program, in their order. */
export function commandShapes(program: Command): CommandShape[] {
  return program.commands.map((command) => ({
    name: command.name(),
    usage: `${program.name()} ${command.name()} ${command.usage()}`,
    help: command.description(),
    words: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    flags: [
      ...command.options.map(({ long, short, flags, description }) => ({
        long: long ?? '',
        short: short ?? null,
        value: /<(.+)>$/.exec(flags)?.[1] ?? null,
        words: wordsAt(listed[long ?? '']),
        help: description,
      })),
      { long: '--help', short: '-h', value: null, words: [], help: 'display help for command' },
    ],
  }))
}

interface SchemaPart {
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, SchemaPart>>
  readonly additionalProperties?: SchemaPart
}

function wordsAt(path: readonly string[] | undefined): readonly string[] {
  if (path === undefined) return []
  let part: SchemaPart | undefined = configJsonSchema() as SchemaPart
  for (const name of path) {
    part = name === '*' ? part?.additionalProperties : part?.properties?.[name]
  }
  return part?.enum ?? []
}
