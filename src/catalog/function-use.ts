/** What a function does to the session by itself, whatever else it runs does. */
import { callEffects } from '../sql/built-in-use.ts'
import { SourceReader } from '../sql/source-reader.ts'
import type { Effect } from '../sql/statement-class.ts'
import { text } from './catalog-rows.ts'
import type { FunctionFacts } from './function-facts.ts'
import {
  NEUTRAL_EXTENSIONS,
  NEUTRAL_PREFIXES,
  NEUTRAL_VOLATILE,
  READ_LANGUAGES,
  RUNS_ARGUMENTS,
} from './neutral-lists.ts'

export interface OwnUse {
  readonly effects: readonly Effect[]
  readonly pin: string | null
  /** What its source names; null: it has no source that is read. */
  readonly reader: SourceReader | null
}

const NOTHING: OwnUse = { effects: [], pin: null, reader: null }

const known = new WeakMap<FunctionFacts, OwnUse>()

/** `aliases`: symbol of a compiled built-in → its name. Nobody changes what this gives. */
export function ownUse(fn: FunctionFacts, aliases: ReadonlyMap<string, string>): OwnUse {
  // Another name of a built-in depends on what built-ins there are.
  if (!fn.builtIn && text(fn.row, 'language') === 'internal') return useOf(fn, aliases)
  let use = known.get(fn)
  if (use === undefined) {
    use = useOf(fn, aliases)
    known.set(fn, use)
  }
  return use
}

function useOf(fn: FunctionFacts, aliases: ReadonlyMap<string, string>): OwnUse {
  const { name, row, builtIn, kind } = fn
  const language = text(row, 'language')
  const extension = text(row, 'extension')
  if (kind === 'a') return NOTHING
  if (builtIn) return language === 'sql' ? NOTHING : compiled(name, fn.volatility)
  if (language === 'internal') {
    const known = aliases.get(fn.source)
    return known === undefined ? unproved(name, 'is compiled') : compiled(known, fn.volatility, 'v')
  }
  if (READ_LANGUAGES.has(language)) return read(fn, language === 'sql' ? 'sql' : 'plpgsql')
  if (language !== 'c') return unproved(name, `is written in ${language}`)
  if (RUNS_ARGUMENTS.has(name)) return unproved(name, 'runs SQL that its arguments give')
  const session = callEffects(name)
  if (extension !== '' && (session === null || session.length > 0)) return called(name)
  // What its extension doesn't call VOLATILE, by its own word, does nothing.
  if (NEUTRAL_EXTENSIONS.has(extension)) return NOTHING
  if (extension !== '' && fn.volatility !== 'v') return NOTHING
  return unproved(name, 'is compiled code that is not known')
}

function compiled(name: string, volatility: string, force = volatility): OwnUse {
  const effects = callEffects(name)
  if (effects === null || effects.length > 0) return called(name)
  if (force !== 'v' || NEUTRAL_VOLATILE.has(name) || NEUTRAL_PREFIXES.test(name)) return NOTHING
  // An alias of a built-in that was declared otherwise is judged as if it were VOLATILE.
  return volatility === 'v' ? unproved(name, 'is not known') : NOTHING
}

function called(name: string): OwnUse {
  const effects = callEffects(name)
  if (effects === null) return { effects: [], pin: `calls ${name}()`, reader: null }
  return { effects, pin: null, reader: null }
}

function read(fn: FunctionFacts, language: 'sql' | 'plpgsql'): OwnUse {
  const reader = new SourceReader()
  reader.read(fn.source, language)
  const config = text(fn.row, 'config')
  // Its own SET clauses are undone at its end, but a custom parameter stays known, as if by SET LOCAL.
  for (const [, name = ''] of config.matchAll(/(?:^\{|,)"?([\w$]+(?:\.[\w$]+)+)=/g)) {
    reader.add({ kind: 'set', name: name.toLowerCase(), value: null, local: true, opaque: true })
  }
  if (reader.createsObjects && /search_path=\s*\\?"?pg_temp/.test(config))
    reader.add({ kind: 'temp' })
  const { effects, pin } = reader
  if (effects.some(({ kind }) => kind === 'sequence-read')) {
    const isOwn = reader.called.has('nextval') || reader.verbs.has('insert')
    return {
      effects: effects.map((e) => (e.kind === 'sequence-read' ? { ...e, isOwn } : e)),
      pin,
      reader,
    }
  }
  return { effects, pin, reader }
}

function unproved(name: string, why: string): OwnUse {
  const effect: Effect = { kind: 'unproved', why: `calls ${name}(), which ${why}`, customs: null }
  return { effects: [effect], pin: null, reader: null }
}
