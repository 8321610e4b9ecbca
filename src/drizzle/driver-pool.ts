import type { ConnectionOptions } from 'node:tls'
import type { NodeConfig } from '../config/config.ts'
import { ConfigError } from '../errors.ts'

/** Where and as whom the application's connections to a node log in. */
export interface NodeTarget {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  /** What its sessions start with, where that is not what the server itself would give them. */
  readonly settings?: readonly (readonly [string, string])[]
  readonly ssl: false | ConnectionOptions
  /** TLS from the first byte (`sslnegotiation: direct`), without asking for it. */
  readonly isDirectTls: boolean
  /** Its log-in has to be bound to the TLS below it (`channel_binding=require`). */
  readonly isBound: boolean
  /** How long a connection is silent until it is tried; null: never; undefined: as the driver does it. ms. */
  readonly keepAliveIdleMs?: number | null | undefined
}

/** Bounds of one node's pool. */
export interface DriverPoolOptions {
  readonly size: number
  /** How long a statement may wait for a connection, connecting included, ms. */
  readonly checkoutTimeoutMs: number
  /** 0 = never, as for `maxLifetimeMs`. */
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
  /** Called when a new connection has logged in. */
  readonly onLogin?: () => void
}

/** The connections of one driver to one node. */
export interface DriverPool<Connection> {
  /**
   * Calls back once, with a connection or, when none can be had in time, with an error: then nothing
   * was sent. DoorError 53300: all are in use.
   */
  checkout(done: (error: unknown, connection: Connection | null) => void): void
  /** `isSpoiled`: it has state that no other user may meet, and is closed. */
  checkin(connection: Connection, isSpoiled: boolean): void
  /** Breaks it off at once; what runs on it rejects. */
  destroy(connection: Connection): void
  readonly counts: { readonly total: number; readonly idle: number; readonly waiting: number }
  /** Closes all; resolves when that is done. */
  end(): Promise<void>
}

/** What a driver can do. */
export interface DriverTraits {
  /** Whether its log-ins can be bound to the TLS below them. */
  readonly bindsChannels: boolean
}

/** Throws ConfigError where a node wants of its log-ins what the driver can't do. */
export function assertBindable(
  nodes: readonly Pick<NodeConfig, 'name' | 'tls'>[],
  { bindsChannels }: DriverTraits,
): void {
  const node = nodes.find(({ tls }) => tls.channelBinding === 'require')
  if (bindsChannels || node === undefined) return
  throw new ConfigError(
    '',
    `the URL of ${node.name} has channel_binding=require, which postgres.js can't do; use pgsplit/drizzle with node-postgres, or write channel_binding=prefer, best with sslmode=verify-full`,
  )
}

/** What the door must know of a driver. */
export interface Driver<Connection> extends DriverTraits {
  open(target: NodeTarget, options: DriverPoolOptions): DriverPool<Connection>
  /** Runs a constant text such as BEGIN. */
  command(connection: Connection, text: string): Promise<unknown>
  /** The error with which the server has ended the connection while nothing ran on it, or null. */
  lastWord(connection: Connection): Error | null
}
