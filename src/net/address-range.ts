import { isIP } from 'node:net'

/** An address as bytes, 4 or 16; an IPv4 address in IPv6's clothes (`::ffff:10.0.0.1`) is 4. Null: it is none. */
export function addressBytes(text: string): Uint8Array | null {
  const address = text.split('%')[0] ?? ''
  switch (isIP(address)) {
    case 4:
      return Uint8Array.from(address.split('.'), Number)
    case 6: {
      const bytes = ipv6Bytes(address)
      const isMapped = bytes.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff))
      return isMapped ? bytes.subarray(12) : bytes
    }
    default:
      return null
  }
}

function ipv6Bytes(address: string): Uint8Array {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address)
  const [a = 0, b = 0, c = 0, d = 0] = (dotted?.[2] ?? '').split('.').map(Number)
  const text =
    dotted === null
      ? address
      : `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  const [head = '', tail = ''] = text.split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === '' ? [] : tail.split(':')
  const groups = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back]
  const bytes = new Uint8Array(16)
  for (const [i, group] of groups.entries()) {
    const value = Number.parseInt(group, 16)
    bytes[2 * i] = value >> 8
    bytes[2 * i + 1] = value & 0xff
  }
  return bytes
}

/** Addresses that have the bits of `mask` in common with `base`. */
export interface AddressRange {
  readonly base: Uint8Array
  readonly mask: Uint8Array
}

/** `10.0.0.0/8`, `::1`, `fd00::/8`. Null: it is no such text. */
export function parseRange(text: string): AddressRange | null {
  const [address = '', length, ...rest] = text.split('/')
  const base = addressBytes(address)
  if (base === null || rest.length > 0) return null
  const most = base.length * 8
  if (length === undefined) return { base, mask: prefixMask(base.length, most) }
  // `::ffff:10.0.0.0/104` counts its bits in IPv6.
  const given = /^\d{1,3}$/.test(length) ? Number(length) : -1
  const bits = base.length === 4 && address.includes(':') ? given - 96 : given
  return bits < 0 || bits > most ? null : { base, mask: prefixMask(base.length, bits) }
}

function prefixMask(size: number, bits: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => {
    const own = Math.min(8, Math.max(0, bits - 8 * i))
    return (0xff << (8 - own)) & 0xff
  })
}

/** False for an address of the other family. */
export function isInRange(address: Uint8Array, { base, mask }: AddressRange): boolean {
  if (address.length !== base.length) return false
  return base.every((byte, i) => ((byte ^ (address[i] ?? 0)) & (mask[i] ?? 0xff)) === 0)
}

/** It has every address of its family. */
export function isEverything({ mask }: AddressRange): boolean {
  return mask.every((byte) => byte === 0)
}
