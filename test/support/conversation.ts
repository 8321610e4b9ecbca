import { message, sync } from './raw-client.ts'

/** One thing that a client sends and the messages that it waits for before it goes on. */
export interface Turn {
  readonly frames: readonly Buffer[]
  /** Goes on behind `count` messages of this type. */
  readonly until: string
  readonly count: number
  /** Which of the conversation's clients says it. */
  readonly client: number
}

export interface ConversationOptions {
  /** SQL that makes the conversation's own objects, run once in the template database. */
  readonly fixture?: string
  /** What truly varies from run to run, as it looks in the messages' text. */
  readonly masks?: readonly RegExp[]
  /** RowDescriptions of tables made in the conversation: their OIDs vary. */
  readonly hasNewTables?: boolean
  /** The server closes the connection behind the last turn; what it says until then is heard. */
  readonly endsItself?: boolean
  /** Parameters of the startup packet. */
  readonly parameters?: Readonly<Record<string, string>>
}

/** The end of an error: which line of PostgreSQL's source raised it, if it says so. */
export const sourceLine = /(?:\\00F\w+\.c\\00L\d+\\00R\w+)?\\00\\00/g

/** What clients and server say, in order. */
export interface Conversation extends ConversationOptions {
  readonly name: string
  readonly turns: readonly Turn[]
}

export function talk(
  name: string,
  turns: readonly Turn[],
  options: ConversationOptions = {},
): Conversation {
  return { name, turns, ...options }
}

/** A simple Query. */
export function q(text: string): Turn {
  return { frames: [message('Q', text)], until: 'Z', count: 1, client: 0 }
}

/** Simple queries, one after the other. */
export function qs(...texts: readonly string[]): Turn[] {
  return texts.map(q)
}

/** Messages, then Sync; waits for its ReadyForQuery. */
export function x(...frames: readonly Buffer[]): Turn {
  return { frames: [...frames, sync], until: 'Z', count: 1, client: 0 }
}

/** Messages as they are; goes on behind `count` messages of type `until`. */
export function hear(until: string, count: number, ...frames: readonly Buffer[]): Turn {
  return { frames, until, count, client: 0 }
}

/** Messages as they are, and no waiting. */
export function say(...frames: readonly Buffer[]): Turn {
  return { frames, until: '', count: 0, client: 0 }
}

/** The same, said by another client of the conversation. */
export function by(client: number, ...turns: readonly Turn[]): Turn[] {
  return turns.map((turn) => ({ ...turn, client }))
}
