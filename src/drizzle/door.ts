import type { Consistency } from '../consistency.ts'

/** Which of the two kinds of session a statement runs in. */
export type SessionMode = 'read' | 'write'

/** What a context starts with. */
export interface ContextOptions {
  /** Its reads see at least what this causal token stands for; `primary`: they go to the primary. */
  readonly token?: string
  /** Default: `routing.consistency`. */
  readonly consistency?: Consistency
  /**
   * A commit resolves when so many replicas show it, or after a second, which the log tells. Default
   * 0: at once.
   */
  readonly commitVisible?: number | 'all'
  /** By this text the balancer `ip-hash` chooses. */
  readonly affinity?: string
  /** A token of another cluster, if that can only be told later, says nothing. Default: an error. */
  readonly isForeignIgnored?: boolean
  /** What the process has written counts as its own: it belongs to no request. Default false. */
  readonly isShared?: boolean
}

/**
 * Runs a statement on one connection. `hint`: a constant comment that the door wants in front of the
 * text; '' when not given.
 */
export type Run<Connection, R> = (connection: Connection, hint?: string) => Promise<R>

/**
 * Where statements go: to the nodes themselves, or through a proxy. `Connection` is the driver's,
 * `Context` what the door keeps of one client (a web request, a job, a session object).
 */
export interface Door<Connection, Context> {
  /** What the process as a whole has written; what its contexts with `isShared` see, too. */
  readonly process: Context
  /** Throws DoorError 22023 for a token that is malformed or of another cluster. */
  newContext(options: ContextOptions): Context
  /**
   * Runs one statement outside of transactions. `run` may be called again on another connection, and
   * only when nothing of the first try can have had an effect. Rejects with DoorError 25006 before
   * anything is sent when a read session is given what is not proved to be a read.
   */
  query<R>(mode: SessionMode, context: Context, text: string, run: Run<Connection, R>): Promise<R>
  /** A transaction; nothing is sent until its first statement. */
  begin(mode: SessionMode, context: Context): DoorTransaction<Connection>
  /** Reads in the context see at least what the token stands for from now on. */
  raise(context: Context, token: string): void
  /** Resolves to what `causalTokenNow` waits for; rejects with 57P03 when no node answers in time. */
  causalToken(context: Context): Promise<string>
  /** '' = it has seen nothing; null = a position is still being asked for, which this begins. */
  causalTokenNow(context: Context): string | null
  /** Whether anything of the context ran on the primary; a door that can't tell leaves it out. */
  hasUsedPrimary?(context: Context): boolean
  readonly ready: Promise<void>
  /** What each node does. */
  snapshot(): DoorSnapshot
  close(): Promise<void>
}

/** One transaction on one connection. */
export interface DoorTransaction<Connection> {
  /** The first text is its BEGIN. null: there was nothing to be sent. */
  query<R>(text: string, run: Run<Connection, R>): Promise<R | null>
  /** Gives the connection back, whatever state the transaction is in. */
  release(): void
}

/** For a status page: plain values, made anew at each call. */
export interface DoorSnapshot {
  readonly primary: string | null
  readonly timeline: number | null
  readonly nodes: readonly DoorNode[]
}

export interface DoorNode {
  readonly name: string
  readonly role: 'primary' | 'replica' | 'unknown'
  /** `up`, `lagging`, or why it gets nothing. */
  readonly state: string
  readonly lagMs: number | null
  /** Connections of this process: all of them, idle ones, and statements that wait for one. */
  readonly connections: number
  readonly idle: number
  readonly waiting: number
  /** Statements that run there now; those that ran there since the start, and reads among them. */
  readonly inFlight: number
  readonly requests: number
  readonly reads: number
}
