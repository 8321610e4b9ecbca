import { type DnsOptions, DnsSource } from './dns-source.ts'
import type { MemberSource } from './member.ts'
import { type PatroniOptions, PatroniSource } from './patroni-source.ts'

export type SourceOptions = PatroniOptions | DnsOptions

/** Throws when a file that the options name can't be read. */
export function createSource(options: SourceOptions): MemberSource {
  return options.kind === 'patroni' ? new PatroniSource(options) : new DnsSource(options)
}
