/** A PostgreSQL instance that a source lists, and what it says of it. */
export interface Member {
  /** Name for people; unique in its list. */
  readonly name: string
  /** Where to connect: a host name or an address. */
  readonly host: string
  readonly port: number
  /** Name that its certificate must have when that isn't `host`; null = `host`. */
  readonly serverName: string | null
  /** What the source says of it, for `SHOW NODES`: `leader, running`. It decides nothing. */
  readonly claim: string
  /** The source takes it for the primary: a reason to probe it at once, no more. */
  readonly isLeader: boolean
  /** false: it is to get no reads (Patroni's tag `noloadbalance`). */
  readonly isBalanced: boolean
  readonly zone: string | null
}

/** What one look at a source brought. */
export interface MemberList {
  readonly members: readonly Member[]
  /** Its automation is paused: who is missing may be alive and must not be taken for gone. */
  readonly isPaused: boolean
  /** How long the source itself vouches for the list, ms; null = it doesn't say. */
  readonly validMs: number | null
  /** What went wrong although there is a list, for example a part of it is an older one. */
  readonly complaint: string | null
}

/** Where lists of members come from. */
export interface MemberSource {
  /** One word for people: `patroni`, `dns`. */
  readonly kind: string
  /** Rejects, in bounded time, with a message for people that contains no secret. */
  read(): Promise<MemberList>
  /** Gives up what is running. */
  close(): void
}

/** What tells members apart: one that moves to another address is another one. */
export function memberKey(member: Pick<Member, 'name' | 'host' | 'port'>): string {
  return `${member.name}@${addressOf(member)}`
}

/** `10.0.0.1:5432`, `[::1]:5432`. */
export function addressOf({ host, port }: Pick<Member, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host.toLowerCase()}:${port}`
}

/** Whether the text can be a host name or an address; nothing else is ever dialled. */
export function isHost(text: string): boolean {
  return text.length <= 253 && /^[\p{L}\p{N}._:%-]+$/u.test(text)
}
